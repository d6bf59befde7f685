//! Finds records about the same person or object, in bounded memory.

/// The most records among which repeats are looked for. Each takes 12 bytes, so that this many take
/// 24 MB; more would be felt on a small machine.
pub(crate) const MAX_RECORDS: usize = 2_000_000;

/// The people or objects of the records so far, by a hash.
///
/// Two people with the same hash would be reported wrongly. Among 2,000,000 of them, the chance is
/// one in ten million.
#[derive(Debug)]
pub(crate) struct RepeatFinder {
    seen: Vec<Seen>,
    max: usize,
    is_over: bool,
}

/// The hash of a person in two halves, and the line of the record. Three 32-bit numbers take 12
/// bytes; a 64-bit one beside the line would take 16.
type Seen = [u32; 3];

/// The records about a person or object that an earlier record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// The file has more records than are looked at.
    NotLookedFor,
    Found {
        records: u64,
        /// The line of the first such record.
        line: u64,
        /// The line of the earlier record.
        earlier: u64,
    },
}

impl RepeatFinder {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            seen: Vec::new(),
            max,
            is_over: false,
        }
    }

    /// Adds the record on `line`, by the hash of its person or object.
    pub(crate) fn add(&mut self, subject: u64, line: u64) {
        if self.is_over {
            return;
        }
        if self.seen.len() == self.max {
            self.is_over = true;
            // The memory is free for the rest of the run.
            self.seen = Vec::new();
            return;
        }
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        self.seen
            .push([(subject >> 32) as u32, subject as u32, line]);
    }

    /// Returns the repeats, if there are any.
    pub(crate) fn finish(mut self) -> Option<Repeats> {
        if self.is_over {
            return Some(Repeats::NotLookedFor);
        }
        // In place: a map would take twice the memory.
        self.seen.sort_unstable();
        let mut found: Option<(u64, u32, u32)> = None;
        for pair in self.seen.windows(2) {
            let ([high, low, earlier], [next_high, next_low, line]) = (pair[0], pair[1]);
            if (high, low) != (next_high, next_low) {
                continue;
            }
            found = Some(match found {
                Some((records, first, of)) if first <= line => (records + 1, first, of),
                Some((records, ..)) => (records + 1, line, earlier),
                None => (1, line, earlier),
            });
        }
        found.map(|(records, line, earlier)| Repeats::Found {
            records,
            line: line.into(),
            earlier: earlier.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(subjects: &[u64], max: usize) -> Option<Repeats> {
        let mut finder = RepeatFinder::new(max);
        for (line, subject) in (2..).zip(subjects) {
            finder.add(*subject, line);
        }
        finder.finish()
    }

    #[test]
    fn later_records_of_the_same_person_are_counted_with_the_first_place() {
        assert_eq!(find(&[], 9), None);
        assert_eq!(find(&[1, 2, u64::MAX, 1 << 32], 9), None);
        let found = |records, line, earlier| {
            Some(Repeats::Found {
                records,
                line,
                earlier,
            })
        };
        assert_eq!(find(&[7, 9, 7, 9, 7], 9), found(3, 4, 2));
        assert_eq!(find(&[9, 1, 1, 9], 9), found(2, 4, 3));
    }

    #[test]
    fn above_the_bound_repeats_are_not_looked_for() {
        assert_eq!(find(&[1, 2, 3], 3), None);
        assert_eq!(find(&[1, 1, 3, 4], 3), Some(Repeats::NotLookedFor));
    }
}
