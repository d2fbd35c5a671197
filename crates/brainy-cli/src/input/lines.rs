//! A text file, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use brainy::ErrorKind;

use crate::failure::Failure;

/// Longest line that is read: an item's metadata may have 1 MiB, which JSON's escapes make six times as long at most.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;

/// The lines of one file, numbered from 1, without their ends.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    file: String,
    number: u64,
}

impl Lines<BufReader<File>> {
    /// The lines of the file at `path`, which must be one that can be read again.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let reader = File::open(path).map_err(|error| Failure::unreadable(&file, &error))?;
        let data = reader.metadata().map_err(|error| Failure::unreadable(&file, &error))?;
        if !data.is_file() {
            // A pipe would be empty the second time, and nothing of it be written.
            return Err(Failure::File {
                file,
                reason: "it is read twice, to check it before anything is written, so it must be a regular file".into(),
            });
        }
        Ok(Self::new(BufReader::with_capacity(1 << 16, reader), file))
    }
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`, called `file` in errors.
    pub(crate) fn new(reader: R, file: String) -> Self {
        Self { reader, file, number: 0 }
    }

    /// What the file is called.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Number of the line that was read last; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line; none at the end. A byte order mark before the first one and a carriage return at a line's end are no part of it.
    pub(crate) fn next_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = Vec::new();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::unreadable(&self.file, &error))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() > MAX_LINE_BYTES {
            return Err(self.wrong(format!("the line is longer than {MAX_LINE_BYTES} bytes")));
        }
        for end in *b"\n\r" {
            line.pop_if(|last| *last == end);
        }
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        Ok(Some(line))
    }

    /// The failure of the line that was read last.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Failure {
        Failure::Line { file: self.file.clone(), line: self.number, reason: reason.into(), kind: ErrorKind::Invalid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_bare() {
        let mut lines = Lines::new(&b"\xef\xbb\xbfa\r\n\nb\r\r\n\xef\xbb\xbfc"[..], "f".into());
        for (number, expected) in [(1, &b"a"[..]), (2, b""), (3, b"b\r"), (4, b"\xef\xbb\xbfc")] {
            assert_eq!(lines.next_line().unwrap().unwrap(), expected);
            assert_eq!(lines.number(), number);
        }
        assert!(lines.next_line().unwrap().is_none());
        assert_eq!(lines.wrong("x").to_string(), "f:4: x");
    }

    #[test]
    fn a_file_without_line_ends_does_not_fill_the_memory() {
        let mut lines = Lines::new(BufReader::new(std::io::repeat(b'x')), "endless".into());
        let error = lines.next_line().unwrap_err().to_string();
        assert!(error.starts_with("endless:1: the line is longer than"), "{error}");
    }
}
