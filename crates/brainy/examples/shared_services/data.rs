//! The packages, their vectors and their relations, as they lie in a folder.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use brainy::{NounId, TypeName, Vector};
use half::f16;
use serde_json::{Map, Value};

use crate::Failure;

/// Bytes of one component in `vectors.f16`.
const COMPONENT_BYTES: usize = 2;

/// One package: a line of `nouns.jsonl`.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub id: NounId,
    /// Its type.
    pub kind: TypeName,
    /// Everything else that the line says.
    pub figures: Map<String, Value>,
    /// The meaning of its description.
    pub vector: Vector,
}

/// One line of `verbs.tsv`; packages by their place.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Where it starts.
    pub source: usize,
    /// Its type.
    pub kind: TypeName,
    /// Where it ends.
    pub target: usize,
}

/// A whole set.
#[derive(Debug)]
pub(crate) struct Data {
    /// Components of every vector.
    pub dimension: usize,
    /// The packages.
    pub packages: Vec<Package>,
    /// The relations, no two of them alike.
    pub relations: Vec<Relation>,
    /// For each package the relations that start or end at it.
    pub touching: Vec<Vec<usize>>,
}

impl Data {
    /// Reads `nouns.jsonl`, `vectors.f16` and `verbs.tsv` in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let file = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| Failure::from(format!("{}: {error}", path.display())))
        };
        let text = |name: &str| String::from_utf8(file(name)?).map_err(|error| Failure::from(format!("{name}: {error}")));
        Self::parse(&text("nouns.jsonl")?, &file("vectors.f16")?, &text("verbs.tsv")?)
    }

    fn parse(nouns: &str, vectors: &[u8], verbs: &str) -> Result<Self, Failure> {
        let count = nouns.lines().count();
        let bytes = vectors.len().checked_div(count).unwrap_or_default();
        if bytes == 0 || bytes * count != vectors.len() || !bytes.is_multiple_of(COMPONENT_BYTES) {
            return Err(format!("vectors.f16 has {} bytes for {count} packages", vectors.len()).into());
        }
        let (mut packages, mut rows) = (Vec::with_capacity(count), HashMap::new());
        for (line, bytes) in nouns.lines().zip(vectors.chunks_exact(bytes)) {
            let package = package(line, bytes).map_err(|error| format!("nouns.jsonl, line {}: {error}", packages.len() + 1))?;
            rows.insert(package.id.clone(), packages.len());
            packages.push(package);
        }
        if rows.len() < packages.len() {
            return Err("nouns.jsonl names a package twice".into());
        }
        let (mut relations, mut touching, mut known) = (Vec::new(), vec![Vec::new(); packages.len()], BTreeMap::new());
        for (at, line) in verbs.lines().enumerate() {
            let relation = relation(line, &rows).map_err(|error| format!("verbs.tsv, line {}: {error}", at + 1))?;
            if known.insert((relation.source, relation.kind.clone(), relation.target), at).is_some() {
                return Err(format!("verbs.tsv, line {}: the same relation stands there twice", at + 1).into());
            }
            touching[relation.source].push(at);
            if relation.target != relation.source {
                touching[relation.target].push(at);
            }
            relations.push(relation);
        }
        Ok(Self { dimension: bytes / COMPONENT_BYTES, packages, relations, touching })
    }
}

fn package(line: &str, bytes: &[u8]) -> Result<Package, Failure> {
    let Value::Object(mut figures) = serde_json::from_str(line)? else { return Err("it is no JSON object".into()) };
    let mut take = |field: &str| match figures.remove(field) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failure::from(format!("it has no text {field:?}"))),
    };
    let (id, kind) = (NounId::new(take("id")?)?, TypeName::new(take("type")?)?);
    let components = bytes.as_chunks::<COMPONENT_BYTES>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32());
    Ok(Package { id, kind, figures, vector: Vector::new(components.collect::<Vec<_>>())? })
}

fn relation(line: &str, rows: &HashMap<NounId, usize>) -> Result<Relation, Failure> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[source, kind, target] = fields.as_slice() else { return Err("it has not three fields".into()) };
    let row =
        |id: &str| -> Result<usize, Failure> { rows.get(&NounId::new(id)?).copied().ok_or_else(|| format!("{id:?} is no package").into()) };
    Ok(Relation { source: row(source)?, kind: TypeName::new(kind)?, target: row(target)? })
}

/// A small set for tests: packages `p0`, `p1`, …, with relations `depends` between the given places.
#[cfg(test)]
pub(crate) fn small(packages: usize, relations: &[(usize, usize)]) -> Data {
    use std::fmt::Write as _;
    let (mut nouns, mut vectors, mut verbs) = (String::new(), Vec::new(), String::new());
    for row in 0..packages {
        writeln!(nouns, r#"{{"id":"p{row}","type":"package","section":"s{}"}}"#, row % 3).expect("a string takes everything");
        vectors.extend([1.0, row as f32].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
    }
    for (source, target) in relations {
        writeln!(verbs, "p{source}\tdepends\tp{target}").expect("a string takes everything");
    }
    Data::parse(&nouns, &vectors, &verbs).expect("a small set is sound")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_whole() {
        let data = small(3, &[(0, 1), (2, 1)]);
        assert_eq!((data.dimension, data.packages.len(), data.relations.len()), (2, 3, 2));
        assert_eq!(data.packages[2].vector.as_slice(), [1.0, 2.0]);
        assert_eq!(data.packages[2].figures["section"], "s2");
        assert_eq!(data.touching, [vec![0], vec![0, 1], vec![1]]);
    }

    #[test]
    fn a_broken_set_is_refused_by_line() {
        let nouns = "{\"id\":\"a\",\"type\":\"t\"}\n{\"id\":\"b\",\"type\":\"t\"}\n";
        let vectors = [0, 0x3c, 0, 0x3c];
        Data::parse(nouns, &vectors, "a\tx\tb\n").unwrap();
        for (nouns, vectors, verbs, expected) in [
            (nouns, &vectors[..3], "", "3 bytes"),
            ("", &[][..], "", "0 packages"),
            ("{}\n[]\n", &vectors[..], "", "line 1"),
            ("{\"id\":\"a\",\"type\":\"t\"}\n[]\n", &vectors[..], "", "line 2"),
            ("{\"id\":\"a\",\"type\":\"t\"}\n{\"id\":\"a\",\"type\":\"t\"}\n", &vectors[..], "", "twice"),
            (nouns, &vectors[..], "a\tx\tb\na\tx\tc\n", "line 2"),
            (nouns, &vectors[..], "a\tx\tb\na\tx\tb\n", "twice"),
        ] {
            let error = Data::parse(nouns, vectors, verbs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
