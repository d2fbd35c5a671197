//! What may stand on the command line.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use brainy::{Metric, ServiceTag, TypeName};
use clap::{ArgGroup, Parser, Subcommand};

/// A vector and graph store that any number of processes share on one bucket or directory.
#[derive(Debug, Parser)]
#[command(name = "brainy", version, max_term_width = 100, after_help = STORE_HELP)]
pub(crate) struct Args {
    /// Print JSON lines for programs instead of tables for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STORE_HELP: &str = "STORE is a directory's path, file:///absolute/path or s3://bucket/prefix. For S3 the usual AWS_* variables hold \
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL …). Exit code: 0 done, 1 not done, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store
    Create(CreateArgs),
    /// Write items and relations from files; the same import again changes nothing but the items' versions
    Import(ImportArgs),
    /// Find the items nearest to an item or a vector
    Search(SearchArgs),
    /// Show one item
    Get(GetArgs),
    /// Count what is in a store, without loading it
    Stats(StatsArgs),
    /// Show the change log
    Log(LogArgs),
    /// Find out what became of a transaction whose outcome was not known
    Resolve(ResolveArgs),
    /// Delete one item
    Delete(DeleteArgs),
    /// Publish a snapshot and remove what nobody needs
    Collect(CollectArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Where the store will be
    pub(crate) store: String,
    /// Components of every item's vector
    #[arg(long)]
    pub(crate) dimension: usize,
    /// How far apart vectors are: cosine, l2 (squared) or inner-product (negated)
    #[arg(long, default_value = "cosine", value_parser = metric)]
    pub(crate) metric: Metric,
    /// Components of every relation's vector; without it relations have none
    #[arg(long)]
    pub(crate) verb_dimension: Option<usize>,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("files").required(true).multiple(true).args(["nouns", "verbs"]))]
pub(crate) struct ImportArgs {
    /// The store
    pub(crate) store: String,
    /// Items: one JSON object a line with an id and a type; all other fields become metadata
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) nouns: Option<PathBuf>,
    /// Their vectors, row i for line i: raw little-endian half floats (.f16) or floats (.f32), or .fvecs
    #[arg(long, value_name = "FILE", requires = "nouns")]
    pub(crate) vectors: Option<PathBuf>,
    /// The field that holds an item's vector, an array of numbers, instead of --vectors
    #[arg(long, value_name = "NAME", requires = "nouns", conflicts_with = "vectors")]
    pub(crate) vector_field: Option<String>,
    /// Relations: source, type and target a line, with tabs between
    #[arg(long, value_name = "FILE.tsv")]
    pub(crate) verbs: Option<PathBuf>,
    /// The service that writes them
    #[arg(long)]
    pub(crate) service: Option<ServiceTag>,
    /// Most items in one transaction: each is written whole or not at all
    #[arg(long, default_value_t = NonZeroUsize::new(500).expect("500 is not zero"))]
    pub(crate) batch: NonZeroUsize,
    /// Leave items that are there as they are
    #[arg(long)]
    pub(crate) if_absent: bool,
    /// Make the missing ends of relations, as items of this type
    #[arg(long, value_name = "TYPE", requires = "verbs")]
    pub(crate) create_missing: Option<TypeName>,
    /// The field that holds an item's id
    #[arg(long, value_name = "NAME", default_value = "id")]
    pub(crate) id_field: String,
    /// The field that holds an item's type
    #[arg(long, value_name = "NAME", default_value = "type")]
    pub(crate) type_field: String,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("query").required(true).args(["like", "vector", "vector_json"]))]
pub(crate) struct SearchArgs {
    /// The store
    pub(crate) store: String,
    /// Near this item, which is itself left out
    #[arg(long, value_name = "ID")]
    pub(crate) like: Option<String>,
    /// Near the vector in this file: .f16, .f32, .fvecs, or .json with an array of numbers
    #[arg(long, value_name = "FILE")]
    pub(crate) vector: Option<PathBuf>,
    /// Which row of the file, from 1; needed where it has several
    #[arg(long, requires = "vector")]
    pub(crate) row: Option<NonZeroU64>,
    /// Near this vector: an array of numbers
    #[arg(long, value_name = "JSON")]
    pub(crate) vector_json: Option<String>,
    /// How many
    #[arg(short, default_value_t = NonZeroUsize::new(10).expect("ten is not zero"))]
    pub(crate) k: NonZeroUsize,
    /// Only items whose metadata matches, such as {"section": "admin", "size": {"$gt": 100}}
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
    /// Only items of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<TypeName>,
    /// Only items last written by this service
    #[arg(long)]
    pub(crate) service: Option<ServiceTag>,
    /// Candidates looked at: more finds more of the true nearest, slower
    #[arg(long, value_name = "N")]
    pub(crate) ef: Option<NonZeroUsize>,
    /// Compare with every vector
    #[arg(long, conflicts_with = "ef")]
    pub(crate) exact: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The store
    pub(crate) store: String,
    /// The item
    pub(crate) id: String,
    /// Its relations too
    #[arg(long)]
    pub(crate) verbs: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatsArgs {
    /// The store
    pub(crate) store: String,
    /// Load the store, count again by looking at everything, and fail on any difference
    #[arg(long)]
    pub(crate) scan: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The store
    pub(crate) store: String,
    /// The first slot to show; without it the last ones are shown
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<NonZeroU64>,
    /// Most slots to show: 20 unless told, or all after --from
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
    /// Then show new ones as they come, until Ctrl-C, the limit, or nobody reads any more
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResolveArgs {
    /// The store
    pub(crate) store: String,
    /// The transaction, as an error named it: writer.wseq.index.base.hash
    #[arg(value_name = "OPID")]
    pub(crate) op: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The store
    pub(crate) store: String,
    /// The item
    pub(crate) id: String,
    /// Its relations too; without it an item that has any is left alone
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CollectArgs {
    /// The store
    pub(crate) store: String,
    /// Only say what would be removed in the end
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Publish a snapshot first, and make the log shorter: slots before it go once the store's grace is over
    #[arg(long)]
    pub(crate) truncate: bool,
    /// With --truncate: leave so many of the newest slots in any case
    #[arg(long, value_name = "N", requires = "truncate")]
    pub(crate) retain: Option<u64>,
    /// Wait for what can only be removed later, an hour or more where slots are deleted, instead of one look
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
}

fn metric(text: &str) -> Result<Metric, String> {
    Metric::from_name(&text.replace('-', "_")).ok_or_else(|| "cosine, l2 or inner-product is needed".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_opened() {
        for (line, reason) in [
            ("brainy", "Usage"),
            ("brainy create s", "--dimension"),
            ("brainy create s --dimension 3 --metric dot", "inner-product"),
            ("brainy import s", "--nouns"),
            ("brainy import s --vectors v.f32 --verbs v.tsv", "--nouns"),
            ("brainy import s --nouns n --batch 0", "--batch"),
            ("brainy import s --nouns n --create-missing t", "--verbs"),
            ("brainy search s", "--like"),
            ("brainy search s --like a --vector b", "cannot be used with"),
            ("brainy search s --like a -k 0", "-k"),
            ("brainy search s --like a --exact --ef 3", "cannot be used with"),
            ("brainy log s --from 0", "--from"),
            ("brainy collect s --retain 3", "--truncate"),
            ("brainy collect s --dry-run --wait", "cannot be used with"),
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn a_metric_goes_by_its_name_with_either_dash() {
        for (text, metric) in [("cosine", Metric::Cosine), ("l2", Metric::L2), ("inner-product", Metric::InnerProduct)] {
            let Command::Create(args) = parse(&format!("brainy create s --dimension 3 --metric {text}")).unwrap().command else {
                panic!("not create");
            };
            assert_eq!(args.metric, metric);
        }
        assert_eq!(metric("inner_product"), Ok(Metric::InnerProduct));
        assert!(parse("brainy --json stats s").unwrap().json && parse("brainy stats s --json").unwrap().json);
    }
}
