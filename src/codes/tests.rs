//! Tests of the tables, of the documents that show them, and of the ranges for a client that does not
//! know a code.

use super::Retry;
use crate::{ending::Ending, rejection::RejectionKind};
use serde_json::{Value, json};
use std::{fs, ops::RangeInclusive, path::Path};

/// A range of codes, and what a client does with a code of the range that it does not know.
type Range = (RangeInclusive<u16>, Retry, &'static str);

/// HTTP statuses of a refusal.
const HTTP: &[Range] = &[
    (400..=400, Retry::AfterChange, "correct the request"),
    (401..=401, Retry::AfterChange, "get another token"),
    (402..=403, Retry::AfterChange, "do not retry with the same proof"),
    (404..=428, Retry::AfterChange, "correct the request"),
    (429..=429, Retry::AfterDelay(1), "wait for as long as `Retry-After` says"),
    (430..=499, Retry::AfterChange, "correct the request"),
    (500..=501, Retry::Stop, "stop, and show the request id to the operator"),
    (502..=504, Retry::AfterDelay(1), "wait for as long as `Retry-After` says, or back off"),
    (505..=599, Retry::Stop, "stop, and show the request id to the operator"),
];

/// gRPC status codes.
const GRPC: &[Range] = &[
    (0..=1, Retry::Stop, "stop: the call is over"),
    (2..=2, Retry::Stop, "stop, and show the request id to the operator"),
    (3..=3, Retry::AfterChange, "correct the request"),
    (4..=4, Retry::AfterDelay(1), "back off, then call again"),
    (5..=6, Retry::AfterChange, "correct the request"),
    (7..=7, Retry::AfterChange, "do not retry with the same proof"),
    (8..=8, Retry::AfterDelay(1), "wait for as long as `grpc-retry-pushback-ms` says, or back off"),
    (9..=11, Retry::AfterChange, "fetch the state again, then decide again"),
    (12..=13, Retry::Stop, "stop, and show the request id to the operator"),
    (
        14..=14,
        Retry::AfterDelay(1),
        "wait for as long as `grpc-retry-pushback-ms` says, or back off",
    ),
    (15..=15, Retry::Stop, "stop, and show the request id to the operator"),
    (16..=16, Retry::AfterChange, "get another token"),
];

/// WebSocket close codes. RFC 6455 section 7.4.2 gives 1000 to 2999 to the protocol, 3000 to 3999 to
/// libraries, and 4000 to 4999 to applications. This crate uses 4400 to 4599 of those.
const WEBSOCKET: &[Range] = &[
    (1000..=1000, Retry::Stop, "stop: the stream is complete"),
    (1001..=1001, Retry::AfterDelay(1), "back off, then reconnect with its cursor"),
    (1002..=1004, Retry::AfterChange, "send what the protocol allows"),
    (1005..=1006, Retry::AfterDelay(1), "back off, then reconnect with its cursor"),
    (1007..=1010, Retry::AfterChange, "send what the protocol allows"),
    (1011..=1014, Retry::AfterDelay(1), "back off, then reconnect with its cursor"),
    (1015..=1015, Retry::Stop, "stop: the TLS handshake failed"),
    (1016..=2999, Retry::AfterDelay(1), "back off, then reconnect with its cursor"),
    (3000..=3999, Retry::AfterChange, "do not retry with the same proof and request"),
    (4000..=4399, Retry::Stop, "stop, unless the application says otherwise"),
    (4400..=4499, Retry::AfterChange, "do not retry with the same proof and request"),
    (4500..=4599, Retry::Stop, "stop: the stream has ended permanently"),
    (4600..=4999, Retry::Stop, "stop, unless the application says otherwise"),
];

fn find(ranges: &[Range], number: u16) -> Retry {
    ranges.iter().find(|(range, ..)| range.contains(&number)).expect("each number is in a range").1
}

fn rows<const N: usize>(table: [Vec<(&'static str, Value)>; N]) -> [Vec<Value>; N] {
    table.map(|rows| rows.into_iter().map(|(_, json)| json).collect())
}

fn document() -> Value {
    let ranges = |ranges: &[Range]| -> Vec<Value> {
        let range = |(range, retry, should): &Range| {
            json!({
                "from": range.start(), "to": range.end(),
                "retry": retry.name(), "client_should": should,
            })
        };
        ranges.iter().map(range).collect()
    };
    let [rejections, endings] = rows([RejectionKind::table(), Ending::table()]);
    json!({
        "about": "All codes of tower-tenancy, and what a client should do for each code. A client that \
                  knows a code follows its row. A client that does not know a code follows `ranges`, by \
                  the HTTP status, the gRPC status or the WebSocket close code. `retry` is one of: stop; \
                  after_change (do not retry with the same request and proof); at_once; after_delay \
                  (retry after `delay_factor` times the usual delay, or after the delay that the server \
                  sends).",
        "rejections": rejections,
        "endings": endings,
        "ranges": { "http": ranges(HTTP), "grpc": ranges(GRPC), "websocket": ranges(WEBSOCKET) },
    })
}

/// `BLESS=1` writes the file.
#[test]
fn docs_codes_json_has_these_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codes.json");
    let expected = document();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&expected).unwrap() + "\n").unwrap();
    }
    let found = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    assert_eq!(found, Some(expected), "docs/codes.json is out of date: `BLESS=1` writes it");
}

#[test]
fn the_guide_shows_these_tables() {
    let guide = include_str!("../../docs/guide.md");
    for table in [RejectionKind::table(), Ending::table()] {
        let rows: Vec<_> = table.iter().map(|(markdown, _)| *markdown).collect();
        let rows = rows.join("\n");
        assert!(guide.contains(&rows), "docs/guide.md must have these rows:\n{rows}");
    }
}

#[test]
fn the_readme_has_each_rejection_once_with_its_numbers() {
    let readme = include_str!("../../README.md");
    let (_, table) =
        readme.split_once("| HTTP | gRPC | code | meaning |\n|---|---|---|---|\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let numbers = |cell: &str| -> Vec<u16> {
        cell.split([',', ' ']).filter_map(|word| word.parse().ok()).collect()
    };
    let mut shown = Vec::new();
    for line in table.lines() {
        let [_, http, grpc, codes, ..] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        for code in codes.split('`').filter(|part| part.contains('.')) {
            let known = RejectionKind::ALL.iter().find(|kind| kind.code() == code);
            let row = known.unwrap_or_else(|| panic!("{code} is no code")).row();
            assert!(numbers(http).contains(&row.http.as_u16()), "{line}");
            assert!(numbers(grpc).contains(&row.grpc.into()), "{line}");
            shown.push(code);
        }
    }
    shown.sort_unstable();
    let mut all: Vec<_> = RejectionKind::ALL.iter().map(|kind| kind.code()).collect();
    all.sort_unstable();
    assert_eq!(shown, all);
}

#[test]
fn each_row_has_the_number_of_its_status_and_a_unique_code() {
    let numbers = |table: Vec<(&str, Value)>, all: Vec<u16>| {
        let written: Vec<_> = table.iter().map(|(_, row)| row["http"].clone()).collect();
        assert_eq!(written, all.into_iter().map(Value::from).collect::<Vec<_>>());
        let mut codes: Vec<_> = table.iter().map(|(_, row)| row["code"].to_string()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), table.len(), "each code is unique");
    };
    let status = |kind: &RejectionKind| kind.status().as_u16();
    numbers(RejectionKind::table(), RejectionKind::ALL.iter().map(status).collect());
    numbers(Ending::table(), vec![200; Ending::ALL.len()]);
}

#[test]
fn each_number_is_in_one_range() {
    for (ranges, all) in [(HTTP, 400..=599), (GRPC, 0..=16), (WEBSOCKET, 1000..=4999)] {
        let mut next = *all.start();
        for (range, ..) in ranges {
            assert_eq!(*range.start(), next, "no hole, no overlap");
            assert!(range.end() >= range.start());
            next = range.end() + 1;
        }
        assert_eq!(next, all.end() + 1);
    }
}

/// A gRPC status or a close code may stand for several codes. If one of these codes is retryable, its
/// range says so for all of them. An HTTP status is exact: its range is retryable only if all its codes
/// are.
#[test]
fn a_client_that_knows_no_code_retries_after_every_retryable_code() {
    for kind in RejectionKind::ALL {
        let row = kind.row();
        let by_status = find(HTTP, row.http.as_u16());
        assert_eq!(by_status.delay_factor().is_some(), kind.is_retryable(), "{kind:?}");
        let others = [find(GRPC, row.grpc.into()), find(WEBSOCKET, row.websocket)];
        assert!(!kind.is_retryable() || others == [Retry::AfterDelay(1); 2], "{kind:?}");
    }
    for ending in Ending::ALL {
        let row = ending.row();
        let ranges = [find(GRPC, row.grpc.into()), find(WEBSOCKET, row.websocket)];
        assert!(!ending.is_retryable() || ranges == [Retry::AfterDelay(1); 2], "{ending:?}");
    }
}
