//! `Vary`: the headers that a cache must include in its key (RFC 9110 section 12.5.5).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// One value that lists each of `names` once, or `None` if there are none.
pub(super) fn value(names: impl IntoIterator<Item = HeaderName>) -> Option<HeaderValue> {
    let mut list: Vec<HeaderName> = Vec::new();
    for name in names {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    let list: Vec<&str> = list.iter().map(HeaderName::as_str).collect();
    if list.is_empty() { None } else { HeaderValue::try_from(list.join(", ")).ok() }
}

/// The names in a `Vary` value.
fn names(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.filter(|name| !name.is_empty())
}

/// Adds the names in `ours` to the `Vary` of a response, without duplicates.
///
/// The result is one header, because some caches read only the last one. A response without `Vary`
/// shares the bytes of `ours`. This allocates only if the response has other names.
pub(super) fn add(headers: &mut HeaderMap, ours: &HeaderValue) {
    let mut theirs = headers.get_all(header::VARY).iter();
    let (first, second) = (theirs.next(), theirs.next());
    if first.is_none() {
        headers.insert(header::VARY, ours.clone());
        return;
    }
    let all = headers.get_all(header::VARY);
    if all.iter().flat_map(names).any(|name| name == b"*") {
        return;
    }
    let is_there =
        |ours: &[u8]| all.iter().flat_map(names).any(|theirs| theirs.eq_ignore_ascii_case(ours));
    if second.is_none() && names(ours).all(is_there) {
        return;
    }
    let mut merged: Vec<&[u8]> = all.iter().flat_map(names).collect();
    merged.extend(names(ours).filter(|ours| !is_there(ours)));
    match HeaderValue::from_bytes(&merged.join(&b", "[..])) {
        Ok(merged) => drop(headers.insert(header::VARY, merged)),
        // Parts of valid header values make a valid value. The fallback adds our names in any case.
        Err(_) => drop(headers.append(header::VARY, ours.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::{add, value};
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    fn added(theirs: &[&'static str]) -> Vec<String> {
        let ours = ["x-tenant-id", "authorization", "x-tenant-id"].map(HeaderName::from_static);
        let mut headers = HeaderMap::new();
        for value in theirs {
            headers.append(header::VARY, HeaderValue::from_static(value));
        }
        add(&mut headers, &value(ours).unwrap());
        headers.get_all(header::VARY).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn our_names_are_added_once_and_existing_names_stay() {
        for (theirs, all) in [
            (&[][..], "x-tenant-id, authorization"),
            (&[""], "x-tenant-id, authorization"),
            (&["accept-encoding"], "accept-encoding, x-tenant-id, authorization"),
            (&["Authorization"], "Authorization, x-tenant-id"),
            (&["AUTHORIZATION ,X-Tenant-Id"], "AUTHORIZATION ,X-Tenant-Id"),
            (&["accept", "origin"], "accept, origin, x-tenant-id, authorization"),
            (&["x-tenant-id", "authorization"], "x-tenant-id, authorization"),
            (&["x-tenant-id-2"], "x-tenant-id-2, x-tenant-id, authorization"),
            (&["*"], "*"),
            (&["accept, *"], "accept, *"),
        ] {
            assert_eq!(added(theirs), [all], "{theirs:?}");
        }
        assert_eq!(added(&["accept", "*"]), ["accept", "*"], "`*` already includes all names");
        assert_eq!(value([]), None);
    }
}
