//! The items that a source may give.

use crate::{delivery::Delivery, rejection::BoxError};

/// An item of a stream that can be guarded: anything that is `Into<Delivery>`, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no tenant, env and thread, so it cannot be put on a guarded stream",
    note = "make a `StreamEvent` of it: `StreamEvent::new(grant.routing().clone(), \"type\", &data)`"
)]
pub trait IntoDelivery {
    /// The delivery, or the error of the source.
    ///
    /// # Errors
    ///
    /// The error of the source.
    fn into_delivery(self) -> Result<Delivery, BoxError>;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Delivery>> IntoDelivery for T {
    fn into_delivery(self) -> Result<Delivery, BoxError> {
        Ok(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl<T: Into<Delivery>, E: Into<BoxError>> IntoDelivery for Result<T, E> {
    fn into_delivery(self) -> Result<Delivery, BoxError> {
        self.map(Into::into).map_err(Into::into)
    }
}
