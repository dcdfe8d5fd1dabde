//! How faults quote what they found.

/// How much of a value is quoted in a fault, in characters.
const MAX_QUOTED: usize = 40;

/// The beginning of a value, for a fault.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
