//! Sets of record numbers, kept as ranges.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::display::counted;

/// A set of record numbers. The first record of an input is number 1.
///
/// Memory grows with the number of ranges, not with that of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// The last number of each range, by its first one. Two ranges never touch.
    ranges: BTreeMap<u64, u64>,
    len: u64,
}

/// A text that is not a list of ranges in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidRanges;

/// Answers for ascending numbers whether a set contains them, in constant time.
#[derive(Debug)]
pub(crate) struct Cursor {
    ranges: std::vec::IntoIter<(u64, u64)>,
    current: Option<(u64, u64)>,
    last: Option<u64>,
}

// === impl Ranges ===

impl Ranges {
    /// Returns how many numbers the set has.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many ranges the set has.
    pub(crate) fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Adds a number. Returns false, and changes nothing, if the set contains it already.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        self.insert_range(number, number)
    }

    /// Adds the numbers from `first` to `last`. Returns false, and changes nothing, if the set
    /// contains one of them already.
    pub(crate) fn insert_range(&mut self, mut first: u64, mut last: u64) -> bool {
        let before = self.ranges.range(..=last).next_back();
        let before = before.map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| end >= first) {
            return false;
        }
        self.len += last - first + 1;
        if let Some((start, _)) = before.filter(|(_, end)| end + 1 == first) {
            first = start;
        }
        if let Some(end) = last
            .checked_add(1)
            .and_then(|next| self.ranges.remove(&next))
        {
            last = end;
        }
        self.ranges.insert(first, last);
        true
    }

    /// Adds all numbers of another set. Returns false if the set contains one of them already; the
    /// numbers before it are added then.
    pub(crate) fn insert_all(&mut self, other: &Self) -> bool {
        other
            .iter()
            .all(|(first, last)| self.insert_range(first, last))
    }

    /// Returns the first and the last number of each range, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Returns the ranges from 1 to `last` that the set lacks, in ascending order.
    pub(crate) fn gaps(&self, last: u64) -> impl Iterator<Item = (u64, u64)> {
        let ends = self.iter().chain([(last.saturating_add(1), u64::MAX)]);
        let mut next = 1;
        ends.filter_map(move |(start, end)| {
            let gap = (next, start.min(last.saturating_add(1)) - 1);
            next = end.saturating_add(1);
            (gap.0 <= gap.1).then_some(gap)
        })
    }

    /// Returns a cursor over the set as it is now.
    pub(crate) fn cursor(&self) -> Cursor {
        let ranges: Vec<_> = self.iter().collect();
        let last = ranges.last().map(|(_, last)| *last);
        let mut ranges = ranges.into_iter();
        Cursor {
            last,
            current: ranges.next(),
            ranges,
        }
    }
}

impl fmt::Display for Ranges {
    /// Writes `1-500,600,700-799`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write_range(f, range)?;
        }
        Ok(())
    }
}

fn write_range(f: &mut impl fmt::Write, (first, last): (u64, u64)) -> fmt::Result {
    match first == last {
        true => write!(f, "{first}"),
        false => write!(f, "{first}-{last}"),
    }
}

impl FromStr for Ranges {
    type Err = InvalidRanges;

    fn from_str(text: &str) -> Result<Self, InvalidRanges> {
        let mut ranges = Self::default();
        let mut after = 0;
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            // A number may also be written `+7` or `07`, but not in a list.
            let number = |text: &str| match text.parse::<u64>() {
                Ok(number) if !text.starts_with(['+', '0']) => Ok(number),
                _ => Err(InvalidRanges),
            };
            let (first, last) = (number(first)?, number(last)?);
            // Ascending, so that each set has one text.
            if first <= after || last < first || !ranges.insert_range(first, last) {
                return Err(InvalidRanges);
            }
            after = last;
        }
        Ok(ranges)
    }
}

/// Writes ranges for people, at most `most` of them: `1-500, 600 and 3 more ranges`.
pub(crate) fn shown(ranges: impl Iterator<Item = (u64, u64)>, most: usize) -> String {
    let (mut text, mut more) = (String::new(), 0);
    for (index, range) in ranges.enumerate() {
        if index >= most {
            more += 1;
            continue;
        }
        if index > 0 {
            text += ", ";
        }
        write_range(&mut text, range).expect("writing to a string succeeds");
    }
    if more > 0 {
        text += &format!(" and {}", counted(more, "more range", "more ranges"));
    }
    text
}

// === impl Cursor ===

impl Cursor {
    /// Returns the greatest number of the set.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Returns whether the set contains the number, which must be greater than that of the last
    /// call.
    pub(crate) fn contains(&mut self, number: u64) -> bool {
        while self.current.is_some_and(|(_, last)| last < number) {
            self.current = self.ranges.next();
        }
        self.current.is_some_and(|(first, _)| first <= number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(text: &str) -> Ranges {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = Ranges::default();
        for number in [5, 3, 4, 1, 7] {
            assert!(set.insert(number));
        }
        assert_eq!(set.to_string(), "1,3-5,7");
        assert!(!set.insert(4));
        assert!(!set.insert_range(5, 9));
        assert!(set.insert_range(8, 9));
        assert_eq!(set.to_string(), "1,3-5,7-9");
        assert_eq!((set.len(), set.count()), (7, 3));
    }

    #[test]
    fn texts_that_are_no_ascending_ranges_are_refused() {
        for text in [
            "", "0", "2-1", "3,2", "1-3,3", "1,", "a", "1-", "-1", "1 ", "+1", "01",
        ] {
            assert_eq!(text.parse::<Ranges>(), Err(InvalidRanges), "{text}");
        }
    }

    #[test]
    fn gaps_are_shown_up_to_a_number_of_them() {
        let set = ranges("2-4,6,9");
        assert_eq!(shown(set.gaps(12), 3), "1, 5, 7-8 and 1 more range");
        assert_eq!(shown(set.gaps(5), 9), "1, 5");
        assert_eq!(shown(set.gaps(9), 9), "1, 5, 7-8");
        assert_eq!(shown(Ranges::default().gaps(3), 9), "1-3");
        assert_eq!(shown(ranges("1-3").gaps(3), 9), "");
        assert_eq!(shown(Ranges::default().gaps(0), 9), "");
        assert_eq!(
            shown(ranges(&format!("{}", u64::MAX)).gaps(u64::MAX), 9),
            "1-18446744073709551614"
        );
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set(numbers in proptest::collection::vec(1u64..60, 0..80)) {
            let (mut set, mut expected) = (Ranges::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(set.insert(number), expected.insert(number));
                prop_assert_eq!(set.len(), expected.len() as u64);
            }
            let mut cursor = set.cursor();
            prop_assert_eq!(cursor.last(), expected.last().copied());
            for number in 1..70 {
                prop_assert_eq!(cursor.contains(number), expected.contains(&number));
            }
            let missing: Vec<_> = set.gaps(65).flat_map(|(first, last)| first..=last).collect();
            let lacks = |number: &u64| !expected.contains(number);
            prop_assert_eq!(missing, (1..=65).filter(lacks).collect::<Vec<_>>());
            if !set.is_empty() {
                prop_assert_eq!(&ranges(&set.to_string()), &set);
            }
            let mut all = Ranges::default();
            prop_assert!(all.insert_all(&set));
            prop_assert_eq!(all, set);
        }
    }
}
