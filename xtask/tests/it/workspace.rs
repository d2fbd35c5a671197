//! The workspace as the tests see it: its folder, its files, its manifests as cargo reads them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one folder below the root")
}

/// The text of a file, named from the root; a missing one fails the test with its name.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths from the root of all files that git tracks or would track, without links and deleted ones.
pub(crate) fn files() -> Vec<String> {
    let line = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let output = Command::new("git").args(line).current_dir(root()).output().expect("git lists the files");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("paths of ours are UTF-8");
    let names = names.split('\0').filter(|name| !name.is_empty());
    names.filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
}

/// Rust sources, with their text.
pub(crate) fn sources() -> Vec<(String, String)> {
    let files = files().into_iter().filter(|path| path.ends_with(".rs"));
    files.map(|path| (read(&path), path)).map(|(text, path)| (path, text)).collect()
}

/// What `cargo ARGS` prints.
pub(crate) fn cargo(args: &[&str]) -> String {
    let program = std::env::var_os("CARGO").expect("cargo runs this test");
    let output = Command::new(program).args(args).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The packages of the workspace, in alphabetical order.
pub(crate) fn packages() -> Vec<Package> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo prints JSON");
    let list = metadata["packages"].as_array().expect("packages is a list");
    let mut packages: Vec<_> = list.iter().map(Package::read).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    packages
}

/// One package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Folder, from the root.
    pub(crate) folder: String,
    pub(crate) published: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Name of the package, whatever the manifest calls it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// A version requirement was given; a path alone is stripped when the crate is packaged.
    pub(crate) versioned: bool,
}

/// When a dependency is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Development,
}

impl Package {
    fn read(package: &Value) -> Self {
        let manifest = Path::new(text(&package["manifest_path"]));
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root()).ok());
        let dependencies = package["dependencies"].as_array().expect("dependencies is a list");
        Self {
            name: text(&package["name"]).to_owned(),
            folder: folder.expect("packages lie below the root").display().to_string(),
            // `publish = false` is an empty list of registries.
            published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            dependencies: dependencies.iter().map(Dependency::read).collect(),
        }
    }
}

impl Dependency {
    fn read(dependency: &Value) -> Self {
        Self {
            name: text(&dependency["name"]).to_owned(),
            kind: match dependency["kind"].as_str() {
                None => Kind::Normal,
                Some("build") => Kind::Build,
                Some("dev") => Kind::Development,
                Some(other) => panic!("a kind of dependency this test does not know: {other}"),
            },
            optional: dependency["optional"].as_bool().expect("optional is yes or no"),
            versioned: text(&dependency["req"]) != "*",
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo gives text here")
}
