//! What the kinds' own checks are made of: every value at a path together with its place.

use crate::metal::size::Size;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lab_object::{FieldError, Json};
use std::{collections::BTreeSet, str::FromStr};

/// Every value at a path such as `spec.disks[].partitions[].size`, with its place written out
/// (`spec.disks[0].partitions[2].size`).
pub(crate) fn each<'a>(object: &'a Json, path: &str) -> Vec<(String, &'a Json)> {
    let mut found = vec![(String::new(), object)];
    for step in path.split('.') {
        let (name, list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let mut next = Vec::new();
        for (place, value) in found {
            let Some(value) = value.get(name) else { continue };
            let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
            match value.as_array() {
                Some(items) if list => {
                    next.extend(items.iter().enumerate().map(|(at, item)| (format!("{place}[{at}]"), item)));
                }
                _ => next.push((place, value)),
            }
        }
        found = next;
    }
    found
}

/// Each string at a path that does not satisfy the check, which says why.
pub(crate) fn texts<E: ToString>(
    object: &Json,
    path: &str,
    check: impl Fn(&str) -> Result<(), E>,
) -> Vec<FieldError> {
    let values = each(object, path).into_iter();
    let failed = values.filter_map(|(place, value)| {
        let error = check(value.as_str()?).err()?;
        Some(FieldError::invalid(place, value, error.to_string()))
    });
    failed.collect()
}

/// Each address at a path that is not in the one form in which it is compared as text: MAC addresses with colons, IPv6
/// addresses shortened (RFC 5952), everything in lower case.
pub(crate) fn canonical<T: FromStr + ToString>(object: &Json, paths: &[&str]) -> Vec<FieldError> {
    let check = |text: &str| match text.parse::<T>().map(|address| address.to_string()) {
        Ok(canonical) if canonical != text => Err(format!("must be written {canonical}")),
        _ => Ok(()),
    };
    paths.iter().flat_map(|path| texts(object, path, check)).collect()
}

/// Each size at a path that is larger than can be counted.
pub(crate) fn sizes(object: &Json, path: &str) -> Vec<FieldError> {
    texts(object, path, |text| text.parse::<Size>().map(drop))
}

/// Each value at a path that stood there before.
pub(crate) fn duplicates(object: &Json, path: &str) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let again = each(object, path).into_iter().filter(|(_, value)| !seen.insert(value.to_string()));
    again.map(|(place, value)| FieldError::duplicate(place, value)).collect()
}

/// The typed value at a JSON pointer; `None` where it is absent or of another form.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(object: &Json, pointer: &str) -> Option<T> {
    T::deserialize(object.pointer(pointer)?).ok()
}

/// One line of an `authorized_keys` file without options: type, base64, comment.
pub(crate) fn openssh_key(text: &str) -> Result<(), &'static str> {
    let mut words = text.split(' ');
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if text.contains(|c: char| c.is_control()) {
        return Err("must be one line");
    }
    let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-"];
    if !known.iter().any(|prefix| kind.starts_with(prefix)) {
        return Err("must begin with the key's type, such as ssh-ed25519");
    }
    let blob = STANDARD.decode(key).unwrap_or_default();
    match ssh_strings(&blob).as_deref() {
        Some([inner, _, ..]) if *inner == kind.as_bytes() => Ok(()),
        _ => Err("the key does not fit its type; was it cut off?"),
    }
}

/// The strings that a blob consists of, each after its length (RFC 4251 section 5); `None` when it is cut off.
fn ssh_strings(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut strings = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (string, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        strings.push(string);
        blob = rest;
    }
    Some(strings)
}
