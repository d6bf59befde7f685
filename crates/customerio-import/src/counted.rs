//! Numbers with their nouns.

/// Writes a number with its noun: `1 retry`, `2 retries`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

/// Writes a number of records.
pub(crate) fn records(count: u64) -> String {
    counted(count, "record", "records")
}

/// Writes a number of requests.
pub(crate) fn requests(count: u64) -> String {
    counted(count, "request", "requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(1, "retry", "retries"), "1 retry");
        assert_eq!(counted(0, "retry", "retries"), "0 retries");
        assert_eq!(records(2), "2 records");
        assert_eq!(requests(1), "1 request");
    }
}
