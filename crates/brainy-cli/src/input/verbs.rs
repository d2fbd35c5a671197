//! Relations: source, type and target a line, with tabs between.

use std::io::BufRead;

use brainy::{NounId, TypeName, VerbDraft};

use crate::failure::Failure;
use crate::input::lines::Lines;

/// The relations of a file, in its order.
#[derive(Debug)]
pub(crate) struct VerbLines<R> {
    lines: Lines<R>,
}

impl<R: BufRead> VerbLines<R> {
    /// The relations of these lines.
    pub(crate) fn new(lines: Lines<R>) -> Self {
        Self { lines }
    }

    /// The lines.
    pub(crate) fn lines(&self) -> &Lines<R> {
        &self.lines
    }

    /// The next relation; none at the end.
    pub(crate) fn next_verb(&mut self) -> Result<Option<VerbDraft>, Failure> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        verb(&line).map(Some).map_err(|reason| self.lines.wrong(reason))
    }
}

fn verb(line: &[u8]) -> Result<VerbDraft, String> {
    let line = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
    let fields: Vec<&str> = line.split('\t').collect();
    let &[source, kind, target] = fields.as_slice() else {
        return Err(format!("source, type and target with tabs between are needed, the line has {} fields", fields.len()));
    };
    let end = |what: &str, id: &str| NounId::new(id).map_err(|error| format!("{what}: {error}"));
    let kind = TypeName::new(kind).map_err(|error| error.to_string())?;
    Ok(VerbDraft::new(end("source", source)?, kind, end("target", target)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<VerbDraft>, Failure> {
        let mut lines = VerbLines::new(Lines::new(text, "verbs.tsv".into()));
        let mut verbs = Vec::new();
        while let Some(verb) = lines.next_verb()? {
            verbs.push(verb);
        }
        Ok(verbs)
    }

    #[test]
    fn a_line_is_a_relation() {
        let verbs = read("a b\tdepends\t../../x\r\ne\u{301}\tt\té".as_bytes()).unwrap();
        assert_eq!(verbs.len(), 2);
        assert_eq!((verbs[0].source.as_str(), verbs[0].kind.as_str(), verbs[0].target.as_str()), ("a b", "depends", "../../x"));
        assert_eq!((verbs[1].source.as_str(), verbs[1].target.as_str()), ("e\u{301}", "é"));
    }

    #[test]
    fn a_line_that_is_no_relation_is_named_with_its_reason() {
        let long = format!("a\tt\t{}", "x".repeat(2_000));
        for (line, reason) in [
            ("", "has 1 fields"),
            ("a\tt", "has 2 fields"),
            ("a\tt\tb\t1", "has 4 fields"),
            ("\tt\tb", "source: noun id is empty"),
            ("a\t\tb", "type is empty"),
            ("a\tt\tb\0c", "target: noun id \"b\\0c\" has a NUL"),
            (&long, "target: noun id has 2000 bytes"),
        ] {
            let error = read(format!("a\tt\tb\n{line}\n").as_bytes()).expect_err(line).to_string();
            assert!(error.starts_with("verbs.tsv:2: ") && error.contains(reason), "{line}: {error}");
        }
        let error = read(b"a\tt\t\xff").unwrap_err().to_string();
        assert_eq!(error, "verbs.tsv:1: not UTF-8 from byte 4 on");
    }
}
