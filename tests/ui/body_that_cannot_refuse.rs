//! If a body cannot be made from bytes, the layer needs another way to refuse.
use http::{Request, Response};
use std::convert::Infallible;
use tower::{Layer, Service, service_fn};
use tower_tenancy::{AuthRequest, RejectionKind, RequireTenantScope, Verdict};

struct Opaque;

fn host<S: Service<Request<()>>>(_: S) {}

fn main() {
    let nobody = |_: &AuthRequest<'_>| Verdict::Ready(Err(RejectionKind::AuthMissing.into()));
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Opaque)));
    host(RequireTenantScope::new(nobody).layer(inner));
}
