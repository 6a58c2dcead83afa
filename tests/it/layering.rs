//! Dependencies point one way: between layers as the table below says, and between files without cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each layer of the product and what it may use, all of which is above it in this table.
const LAYERS: [(&str, &str); 24] = [
    ("error_text", ""),
    ("inline_code", ""),
    ("http", "error_text"),
    ("model", ""),
    ("retry", "model"),
    ("config", "model"),
    ("destination", "model config error_text http retry"),
    ("schedule", "model config"),
    ("plan", "model"),
    // The middle four never use each other; only `run` knows them all.
    ("api", "model config error_text http retry"),
    ("decode", "model"),
    ("write", "model config"),
    ("layout", "model config"),
    ("ledger", "model destination layout error_text retry"),
    ("reference", "model config api decode write layout"),
    ("tables", "model config destination decode write layout ledger reference error_text retry"),
    ("report", "model destination write ledger error_text inline_code"),
    ("run", "model config destination plan api decode write layout ledger tables error_text retry"),
    ("maintain", "model destination decode write layout ledger error_text"),
    ("status", "model config destination schedule plan layout ledger error_text"),
    ("alert", "model config destination schedule ledger status error_text http retry"),
    // They observe events or show the status; neither knows how a run works.
    ("observe", "model config status error_text http"),
    ("server", "model config ledger status observe error_text inline_code"),
    (
        "cli",
        "model config destination schedule plan api layout ledger tables report run maintain status alert observe server \
         reference error_text http retry",
    ),
];

const MIDDLE: [&str; 4] = ["api", "decode", "write", "ledger"];

/// The crates whose files are looked at.
const ROOTS: [&str; 4] = ["src", "crates/catalog/src", "crates/simulator/src", "xtask/src"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below `root` without its tests, and its module path.
fn modules(root: &str) -> BTreeMap<Vec<String>, Module> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = repository().join(root);
    let mut files = Vec::new();
    walk(&root, &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let mut path: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if path.contains(&"tests".to_owned()) || path == ["main"] {
            continue;
        }
        if path.last().is_some_and(|last| last == "mod" || last == "lib") {
            path.pop();
        }
        let name = file.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
        modules.insert(path, Module::parse(name, &std::fs::read_to_string(&file).unwrap()));
    }
    modules
}

/// A file: its code, the names that its `use` lines bind, and the paths it mentions elsewhere.
struct Module {
    file: String,
    /// Lines of code with their numbers, without comments and tests.
    lines: Vec<(usize, String)>,
    bindings: Vec<(String, Vec<String>)>,
    paths: Vec<Vec<String>>,
}

impl Module {
    fn parse(file: String, text: &str) -> Self {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines: Vec<(usize, String)> = (1..)
            .zip(code.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number, line.to_owned()))
            .collect();
        let joined = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        let mut module = Self { file, lines, bindings: Vec::new(), paths: Vec::new() };
        let mut rest = String::new();
        for (index, statement) in joined.split(';').enumerate() {
            let start = statement.rfind(['\n', '{', '}']).filter(|_| !statement.contains("use ")).unwrap_or(0);
            match statement.find("use ").filter(|at| is_use(&statement[start..*at])) {
                Some(at) => flatten(&statement[at + 4..], &[], &mut module.bindings),
                None => rest.push_str(statement),
            }
            rest.push_str(if index == 0 { "" } else { ";" });
        }
        module.paths = paths(&rest);
        module
    }
}

/// Whether the text before `use` on its line is a visibility or empty.
fn is_use(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap().trim();
    line.is_empty() || line.starts_with("pub")
}

/// Each name that a `use` tree binds, with its path.
fn flatten(tree: &str, prefix: &[String], bindings: &mut Vec<(String, Vec<String>)>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = prefix.iter().cloned().chain(segments(&tree[..open])).collect();
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let (mut depth, mut start) = (0, 0);
        for (at, character) in inner.char_indices().chain([(inner.len(), ',')]) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    flatten(&inner[start..at], &prefix, bindings);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let path: Vec<String> = prefix.iter().cloned().chain(segments(path)).collect();
    let path = if path.last().is_some_and(|last| last == "self") { path[..path.len() - 1].to_vec() } else { path };
    if let Some(last) = path.last() {
        bindings.push((alias.unwrap_or(last).to_owned(), path.clone()));
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Every `a::b::c` of `code`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let words = code.split(|character: char| !is_part(character));
    words.filter(|word| word.contains("::") && !word.starts_with("::")).map(segments).collect()
}

/// The module that defines what `path`, mentioned in `from`, leads to; none when another crate does.
fn resolve(
    modules: &BTreeMap<Vec<String>, Module>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<Vec<String>> {
    let mut at = from.to_vec();
    let mut parts = path.iter().peekable();
    match parts.peek()?.as_str() {
        "crate" => {
            at.clear();
            parts.next();
        }
        "self" => _ = parts.next(),
        "super" => {
            while parts.next_if(|part| *part == "super").is_some() {
                at.pop();
            }
        }
        first => {
            let child = at.iter().cloned().chain([first.to_owned()]).collect::<Vec<_>>();
            let bound = modules.get(&at)?.bindings.iter().any(|(name, bound)| name == first && bound != path);
            if !modules.contains_key(&child) && !bound {
                return None;
            }
        }
    }
    while let Some(part) = parts.next() {
        let child = at.iter().cloned().chain([part.clone()]).collect::<Vec<_>>();
        if modules.contains_key(&child) {
            at = child;
            continue;
        }
        // A name that the module only re-exports belongs to the file that defines it.
        let bound =
            modules.get(&at)?.bindings.iter().find(|(name, bound)| name == part && (at != from || bound != path));
        if let Some((_, bound)) = bound.filter(|_| depth < 8) {
            let whole: Vec<String> = bound.iter().cloned().chain(parts.cloned()).collect();
            return resolve(modules, &at, &whole, depth + 1);
        }
        break;
    }
    Some(at)
}

/// The files that each file uses. What a parent module uses of its own children does not count: it is made of them, and they
/// may share its types.
fn dependencies(root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules(root);
    let uses = |(path, module): (&Vec<String>, &Module)| {
        let mentioned = module.bindings.iter().map(|(_, bound)| bound).chain(&module.paths);
        let used = mentioned.filter_map(|mentioned| resolve(&modules, path, mentioned, 0));
        let used = used.filter(|used| !used.starts_with(path));
        let files = used.filter_map(|used| Some(modules.get(&used)?.file.clone()));
        (module.file.clone(), files.collect())
    };
    modules.iter().map(uses).collect()
}

/// Groups of files each of which uses every other, directly or through others.
fn cycles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reachable = |from: &String| {
        let mut found = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            for used in uses.get(file).into_iter().flatten() {
                if found.insert(used.clone()) {
                    open.push(used);
                }
            }
        }
        found
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|file| (file, reachable(file))).collect();
    let cycle = |file: &String| -> BTreeSet<String> {
        reach[file].iter().filter(|other| reach[other].contains(file)).cloned().collect()
    };
    let found: BTreeSet<BTreeSet<String>> = uses.keys().map(cycle).filter(|cycle| cycle.len() > 1).collect();
    found.into_iter().collect()
}

/// The layer of a file of the product: its folder, or itself.
fn layer(file: &str) -> Option<&str> {
    let name = file.strip_prefix("src/")?.split(['/', '.']).next()?;
    (name != "lib").then_some(name)
}

#[test]
fn layers_use_only_layers_below_them() {
    let allowed: BTreeMap<&str, &str> = LAYERS.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, uses) in dependencies("src") {
        let Some(own) = layer(&file) else { continue };
        let allowed = allowed.get(own).unwrap_or_else(|| panic!("{file}: no such layer in the table"));
        let upward = uses.iter().filter_map(|used| layer(used)).filter(|used| *used != own);
        let upward: Vec<&str> = upward.filter(|used| !allowed.split(' ').any(|allowed| allowed == *used)).collect();
        wrong.extend(upward.into_iter().map(|used| format!("{file} uses `{used}`")));
    }
    // The nouns of the catalog know neither its checks nor its declarations.
    for (file, uses) in dependencies("crates/catalog/src") {
        if file.contains("/model/") {
            wrong
                .extend(uses.iter().filter(|used| !used.contains("/model/")).map(|used| format!("{file} uses {used}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn table_of_layers_is_in_order_and_keeps_the_middle_apart() {
    let position = |name: &str| LAYERS.iter().position(|(layer, _)| *layer == name);
    for (layer, uses) in LAYERS {
        for used in uses.split_whitespace() {
            assert!(position(used).is_some_and(|used| Some(used) < position(layer)), "`{layer}` is above `{used}`");
            let both = MIDDLE.contains(&layer) && MIDDLE.contains(&used);
            assert!(!both, "`{layer}` uses `{used}`: both are in the middle");
        }
    }
}

#[test]
fn files_do_not_use_each_other() {
    let mut unexpected = Vec::new();
    for root in ROOTS {
        let uses = dependencies(root);
        for cycle in cycles(&uses) {
            unexpected.push(format!("{} files:", cycle.len()));
            for file in &cycle {
                let within: Vec<&str> = uses[file].intersection(&cycle).map(String::as_str).collect();
                unexpected.push(format!("  {file} -> {}", within.join(", ")));
            }
        }
    }
    assert!(unexpected.is_empty(), "import cycles:\n{}", unexpected.join("\n"));
}

/// Panics when a line that `is_wrong` is in a layer other than `allowed`.
fn assert_only(allowed: &[&str], is_wrong: impl Fn(&str) -> bool) {
    for module in modules("src").values() {
        let Some(own) = layer(&module.file).filter(|own| !allowed.contains(own)) else { continue };
        for (number, line) in &module.lines {
            assert!(!is_wrong(line), "{}:{number}: not in `{own}`: {line}", module.file);
        }
    }
}

#[test]
fn only_api_alerts_and_otlp_send_http() {
    // Alerts and OTLP go to other hosts, outside the rate limit and without the key.
    assert_only(&["http", "api", "alert", "observe"], |line| line.contains("reqwest::"));
    assert_only(&["server"], |line| line.contains("axum::"));
}

#[test]
fn only_layout_builds_the_paths_of_a_lake() {
    // The spool names its own directories, and the command line prints examples.
    assert_only(&["layout", "cli"], |line| line.contains("day={") || line.contains("month={"));
}

#[test]
fn architecture_names_tests_that_exist() {
    let map = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let invariants = map.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let named: Vec<&str> = invariants
        .lines()
        .filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next())
        .flat_map(|tests| tests.split('`'))
        .filter(|name| name.contains('_') && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()))
        .collect();
    let mut sources = String::new();
    for folder in ["src", "crates", "xtask", "tests"] {
        let mut directories = vec![repository().join(folder)];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    sources.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
    }
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(named.len() > 30, "only {} invariants name a test", named.len());
    assert!(missing.is_empty(), "ARCHITECTURE.md names tests that do not exist: {missing:?}");
}
