//! `brainy import`: everything is read and checked once before anything is written.

mod batches;
mod progress;
mod write;

use std::io::BufReader;
use std::time::Duration;

use brainy::{Brainy, Metric, Mode, NounDraft, Peek, VerbDraft};
use serde_json::json;

use crate::args::ImportArgs;
use crate::failure::Failure;
use crate::import::batches::Batches;
use crate::import::write::{Tally, Writer};
use crate::input::json_lines::{Fields, JsonLines};
use crate::input::lines::Lines;
use crate::input::vectors::VectorRows;
use crate::input::verbs::VerbLines;
use crate::output::Output;
use crate::place;
use crate::table::{Table, grouped};

/// How long one transaction may take: a slow line carries several large ones at once.
const DEADLINE: Duration = Duration::from_secs(300);
/// How long the handle is given to end what is on its way after everything was waited for.
const CLOSING: Duration = Duration::from_secs(5);

type FileReader = BufReader<std::fs::File>;

/// What an import came to.
#[derive(Debug, Default)]
struct Summary {
    nouns: Tally,
    verbs: Tally,
}

/// Imports the files.
pub(crate) async fn run(args: ImportArgs, output: &mut Output) -> Result<(), Failure> {
    let url = place::url(&args.store)?;
    // Dimension and metric without loading the store; nothing is written, a wrong file is told at once.
    let peek = Brainy::peek(&url).await?;
    let visible = !output.is_json();
    let checking = progress::bar(visible, "checking", None);
    let lines = check(&args, &peek, &checking)?;
    checking.finish_and_clear();

    let mut builder = Brainy::builder(url).mode(Mode::WriteOnly).deadline(DEADLINE);
    if let Some(service) = args.service.clone() {
        builder = builder.service(service);
    }
    let db = builder.open().await?;
    let writing = progress::bar(visible, "writing", Some(lines));
    let mut summary = Summary::default();
    let result = write(&args, &db, &writing, &mut summary).await;
    writing.finish_and_clear();
    let seconds = checking.elapsed().as_secs_f64();
    // Every transaction was waited for, so none can be undecided.
    db.close(CLOSING).await;
    result.map_err(|source| Failure::Import {
        source: Box::new(source),
        commits: summary.nouns.commits + summary.verbs.commits,
        lines: summary.nouns.lines + summary.verbs.lines,
    })?;
    print(&summary, &db, seconds, output)
}

/// The items of a file, each with its vector.
struct NounFile {
    nouns: JsonLines<FileReader>,
    vectors: Option<VectorRows<FileReader>>,
    dimension: usize,
    metric: Metric,
}

impl NounFile {
    fn open(args: &ImportArgs, dimension: usize, metric: Metric) -> Result<Option<Self>, Failure> {
        let Some(path) = &args.nouns else { return Ok(None) };
        let fields = Fields { id: args.id_field.clone(), kind: args.type_field.clone(), vector: args.vector_field.clone() };
        let nouns = JsonLines::new(Lines::open(path)?, fields);
        let vectors = args.vectors.as_deref().map(|path| VectorRows::open(path, dimension, metric)).transpose()?;
        Ok(Some(Self { nouns, vectors, dimension, metric }))
    }

    fn file(&self) -> String {
        self.nouns.lines().file().to_owned()
    }

    fn next(&mut self) -> Result<Option<(u64, NounDraft)>, Failure> {
        let Some(noun) = self.nouns.next_noun()? else { return Ok(None) };
        let line = self.nouns.lines().number();
        if let Some(vector) = &noun.vector {
            vector.check(self.dimension, self.metric).map_err(|error| self.nouns.lines().wrong(error.to_string()))?;
        }
        let Some(vectors) = &mut self.vectors else { return Ok(Some((line, noun))) };
        match vectors.next_vector()? {
            Some(vector) => Ok(Some((line, noun.with_vector(vector)))),
            None => Err(Failure::File {
                file: vectors.file().to_owned(),
                reason: format!("{} rows, but {} has a line {line}: one row for each line is needed", vectors.rows(), self.file()),
            }),
        }
    }

    /// That no row is left over after the last line.
    fn check_end(&self) -> Result<(), Failure> {
        let lines = self.nouns.lines().number();
        match &self.vectors {
            Some(vectors) if vectors.rows() != lines => Err(Failure::File {
                file: vectors.file().to_owned(),
                reason: format!("{} rows, but {} has {lines} lines: one row for each line is needed", vectors.rows(), self.file()),
            }),
            _ => Ok(()),
        }
    }
}

fn verb_file(args: &ImportArgs) -> Result<Option<VerbLines<FileReader>>, Failure> {
    args.verbs.as_deref().map(|path| Ok(VerbLines::new(Lines::open(path)?))).transpose()
}

fn next_verb(verbs: &mut VerbLines<FileReader>) -> Result<Option<(u64, VerbDraft)>, Failure> {
    Ok(verbs.next_verb()?.map(|verb| (verbs.lines().number(), verb)))
}

/// Reads every file to its end; how many lines there are.
fn check(args: &ImportArgs, store: &Peek, bar: &indicatif::ProgressBar) -> Result<u64, Failure> {
    let nouns = NounFile::open(args, store.dimension, store.metric)?;
    let verbs = verb_file(args)?;
    let mut lines = 0;
    if let Some(mut nouns) = nouns {
        while nouns.next()?.is_some() {
            lines += 1;
            bar.inc(1);
        }
        nouns.check_end()?;
    }
    if let Some(mut verbs) = verbs {
        while next_verb(&mut verbs)?.is_some() {
            lines += 1;
            bar.inc(1);
        }
    }
    Ok(lines)
}

/// Writes all items, then all relations between them.
async fn write(args: &ImportArgs, db: &Brainy, bar: &indicatif::ProgressBar, summary: &mut Summary) -> Result<(), Failure> {
    let writer = Writer { db, if_absent: args.if_absent, missing: args.create_missing.clone(), bar };
    if let Some(mut nouns) = NounFile::open(args, db.dimension(), db.metric())? {
        let batches = Batches::new(nouns.file(), args.batch.get(), move || nouns.next());
        writer.write_all(batches, &mut summary.nouns).await?;
    }
    if let Some(mut verbs) = verb_file(args)? {
        let batches = Batches::new(verbs.lines().file().to_owned(), args.batch.get(), move || next_verb(&mut verbs));
        writer.write_all(batches, &mut summary.verbs).await?;
    }
    Ok(())
}

fn print(summary: &Summary, db: &Brainy, seconds: f64, output: &mut Output) -> Result<(), Failure> {
    let Summary { nouns, verbs } = summary;
    let (usage, position) = (db.usage(), db.position());
    let commits = nouns.commits + verbs.commits;
    let conflicts = nouns.conflicts + verbs.conflicts;
    let lost_races = db.figures().lost_races;
    let bytes_up = usage.get.bytes_up + usage.put.bytes_up + usage.list.bytes_up;
    let bytes_down = usage.get.bytes_down + usage.put.bytes_down + usage.list.bytes_down;
    if output.is_json() {
        let tally = |tally: &Tally| json!({"lines": tally.lines, "changed": tally.changed, "skipped": tally.skipped});
        return output.value(&json!({
            "nouns": tally(nouns),
            "verbs": tally(verbs),
            "commits": commits,
            "conflicts": conflicts,
            "lost_races": lost_races,
            "requests": usage.requests(),
            "bytes_up": bytes_up,
            "bytes_down": bytes_down,
            "seconds": seconds,
            "token": position.to_string(),
        }));
    }
    let mut table = Table::new(&["", ">lines", ">changed", ">left alone"]);
    for (name, tally) in [("items", nouns), ("relations", verbs)] {
        table.row([name, &grouped(tally.lines), &grouped(tally.changed), &grouped(tally.skipped)]);
    }
    output.text(table)?;
    output.text(format_args!(
        "{} transactions, {} conflicts, {} requests, {} bytes up, {} bytes down, {seconds:.1} s",
        grouped(commits),
        grouped(conflicts),
        grouped(usage.requests()),
        grouped(bytes_up),
        grouped(bytes_down)
    ))
}
