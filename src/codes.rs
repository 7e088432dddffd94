//! The macro that makes the tables of rejections and endings. A table has one row for each code.
//!
//! `docs/codes.json` has both tables for programs. It also says what a client does with a code that it
//! does not know. A test compares the file with the tables.

use http::StatusCode;

#[cfg(test)]
mod tests;

/// Whether and when a client retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The client stops.
    Stop,
    /// The client first changes the request, the proof or its own state.
    AfterChange,
    /// The client reconnects at once, with its cursor.
    AtOnce,
    /// The client retries by itself, after this many times its usual delay.
    AfterDelay(u32),
}

impl Retry {
    /// How many times its usual delay a client waits before it retries. `None` for every other kind of
    /// retry.
    pub(crate) const fn delay_factor(self) -> Option<u32> {
        match self {
            Self::AfterDelay(factor) => Some(factor),
            Self::Stop | Self::AfterChange | Self::AtOnce => None,
        }
    }

    /// The name in `docs/codes.json`.
    #[cfg(test)]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::AfterChange => "after_change",
            Self::AtOnce => "at_once",
            Self::AfterDelay(_) => "after_delay",
        }
    }
}

/// One row of a table: a code, and the status or close code for it in each protocol.
pub(crate) struct Row {
    pub(crate) code: &'static str,
    /// The status of the response. It is 200 for an ending: the stream has begun.
    pub(crate) http: StatusCode,
    pub(crate) grpc: u8,
    pub(crate) websocket: u16,
    pub(crate) retry: Retry,
    /// The text that a client reads.
    pub(crate) detail: &'static str,
}

/// Makes an enum of codes and its table.
///
/// A row has a name, a code, an HTTP status, a gRPC status, a WebSocket close code, a [`Retry`], what the
/// client should do, and the text that the client reads.
macro_rules! codes {
    (
        $(#[doc = $intro:literal])+
        pub enum $Codes:ident {$(
            $(#[doc = $doc:literal])+
            $name:ident: $code:literal, $http:literal $status:ident, $grpc:literal $grpc_name:literal,
                $websocket:literal, $retry:expr, $advice:literal, $detail:literal;
        )+}
    ) => {
        $(#[doc = $intro])+
        ///
        /// | code | HTTP | gRPC | WebSocket | client should |
        /// |---|---|---|---|---|
        $(#[doc = concat!("| `", $code, "` | ", $http, " | ", $grpc, " `", $grpc_name, "` | ", $websocket, " | ", $advice, " |")])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Codes {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $Codes {
            /// All values, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(crate) const fn row(self) -> $crate::codes::Row {
                #[allow(unused_imports, reason = "not every table has every kind of retry")]
                use $crate::codes::Retry::{AfterChange, AfterDelay, AtOnce, Stop};
                match self {
                    $(Self::$name => $crate::codes::Row {
                        code: $code,
                        http: http::StatusCode::$status,
                        grpc: $grpc,
                        websocket: $websocket,
                        retry: $retry,
                        detail: $detail,
                    },)+
                }
            }

            /// The rows of the table in Markdown, and in JSON.
            #[cfg(test)]
            pub(crate) fn table() -> Vec<(&'static str, serde_json::Value)> {
                vec![$((
                    concat!("| `", $code, "` | ", $http, " | ", $grpc, " `", $grpc_name, "` | ", $websocket, " | ", $advice, " |"),
                    serde_json::json!({
                        "code": $code,
                        "http": $http,
                        "grpc": $grpc,
                        "websocket": $websocket,
                        "retry": Self::$name.row().retry.name(),
                        "delay_factor": Self::$name.row().retry.delay_factor(),
                        "client_should": $advice,
                        "detail": $detail,
                    }),
                ),)+]
            }
        }
    };
}
pub(crate) use codes;
