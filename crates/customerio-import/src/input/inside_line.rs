/// What tells whether a line that lies in a cell, in whole or in part, looks like a row of the
/// file.
#[derive(Debug, Default)]
pub(super) struct InsideLine {
    pub(super) delimiters: usize,
    quoted_delimiters: usize,
    is_after_delimiter: bool,
    /// Prose has a space behind each comma; rows have none.
    is_prose: bool,
}

impl InsideLine {
    pub(super) fn see_quoted(&mut self, is_delimiter: bool, is_space: bool) {
        self.is_prose |= self.is_after_delimiter && is_space;
        self.is_after_delimiter = is_delimiter;
        self.delimiters += usize::from(is_delimiter);
        self.quoted_delimiters += usize::from(is_delimiter);
    }

    /// A stray quote at the end of one row and another one further down make a cell of the rows
    /// between: such a cell has the delimiters of a row on one line.
    pub(super) fn is_like_a_row(&self, width: usize) -> bool {
        !self.is_prose && self.quoted_delimiters > 0 && self.delimiters + 1 == width
    }
}
