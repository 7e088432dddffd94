//! Tests of the architecture: which modules a module may use, and where tests may be.
//!
//! A module may use only the modules above it in `lib.rs`. These tests parse the sources with `syn`, so they
//! find each path: in a `use`, in an expression, or in the arguments of a macro.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syntax has more kinds than these tests ask for"
)]

use proc_macro2::{TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};
use syn::{
    Attribute, Item, UseTree,
    visit::{self, Visit},
};

/// The path of a module, such as `["auth", "jwt", "claims"]`. The crate's root is empty.
type Place = Vec<String>;

/// One source file.
struct Source {
    place: Place,
    is_mod_file: bool,
    /// Whether all of the file is test code.
    is_test: bool,
    /// Whether the file only declares modules and names what they hold.
    only_declares: bool,
    /// Whether production code stands after a module of tests.
    tests_are_last: bool,
    /// The paths in production code. They start at the crate's root, or with `::` and another crate.
    paths: BTreeSet<Place>,
}

impl Source {
    fn read(src: &Path, file: &Path) -> Self {
        let inside = file.strip_prefix(src).unwrap().with_extension("");
        let mut place: Place =
            inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        let name = place.last().unwrap().clone();
        if name == "mod" || name == "lib" {
            place.pop();
        }
        let syntax = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
        let tests = |item: &Item| match item {
            Item::Mod(module) => module.content.is_some() && module.attrs.iter().any(is_cfg_test),
            _ => false,
        };
        let declares = |item: &Item| match item {
            Item::Mod(module) => module.content.is_none(),
            Item::Use(_) => true,
            _ => false,
        };
        let mut paths = Paths { inside: place.clone(), found: BTreeSet::new() };
        paths.visit_file(&syntax);
        Self {
            is_mod_file: name == "mod",
            is_test: place.iter().any(|part| part == "tests" || part == "fixtures"),
            only_declares: syntax.items.iter().all(declares),
            tests_are_last: syntax.items.iter().rev().skip(1).all(|item| !tests(item)),
            paths: paths.found,
            place,
        }
    }

    fn name(&self) -> String {
        self.place.join("/")
    }
}

/// The files with production code.
fn sources() -> impl Iterator<Item = &'static Source> {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut sources, mut folders) = (Vec::new(), vec![src.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    sources.push(Source::read(&src, &path));
                }
            }
        }
        sources.sort_by(|a, b| a.place.cmp(&b.place));
        sources
    });
    assert!(SOURCES.len() > 50);
    SOURCES.iter().filter(|source| !source.is_test)
}

/// Whether the attribute is exactly `#[cfg(test)]`. With `any(test, ..)`, the item is also production code.
fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

/// Collects the paths in production code.
struct Paths {
    inside: Place,
    found: BTreeSet<Place>,
}

impl Paths {
    fn add(&mut self, segments: &[String]) {
        let mut from = self.inside.clone();
        let mut rest = segments;
        loop {
            match rest {
                [first, tail @ ..] if first == "crate" => (from, rest) = (Place::new(), tail),
                [first, tail @ ..] if first == "self" => rest = tail,
                [first, tail @ ..] if first == "super" => {
                    from.pop();
                    rest = tail;
                }
                _ => break,
            }
        }
        if rest.len() == segments.len() {
            // A name of this module, or a path of another crate.
            from = Place::new();
            if rest.len() < 2 {
                return;
            }
            from.push("::".to_owned());
        }
        from.extend_from_slice(rest);
        self.found.insert(from);
    }

    fn add_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) if name.ident == "self" => self.add(prefix),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) if rename.ident == "self" => self.add(prefix),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(prefix),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(prefix, tree));
            }
        }
    }

    /// The arguments of a macro are tokens without syntax. Names with `::` between them are a path.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Vec::new(), 0);
        // Nor does `pub(in crate::ws)`.
        let is_in = |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name == "in");
        let mut tokens = tokens.into_iter().peekable();
        if tokens.peek().is_some_and(is_in) {
            return;
        }
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 || path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1
                }
                other => {
                    self.add_names(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.add_names(&path);
    }

    /// `pub(super)` takes nothing.
    fn add_names(&mut self, path: &[String]) {
        if !path.iter().all(|name| ["crate", "self", "super"].contains(&name.as_str())) {
            self.add(path);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_cfg_test) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !function.attrs.iter().any(is_cfg_test) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.add_tree(&[], &import.tree);
    }

    /// The path in `pub(super)` is not a use.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, makes: &'ast syn::Macro) {
        self.add_tokens(makes.tokens.clone());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The module that a path leads into: the longest beginning of it that is one.
fn module_of(path: &Place) -> Option<Place> {
    let lengths = (1..=path.len()).rev();
    let beginnings = lengths.map(|length| &path[..length]);
    let is_module = |place: &&[String]| sources().any(|source| source.place == *place);
    beginnings.into_iter().find(is_module).map(<[String]>::to_vec)
}

/// The modules of the crate's root, in their order.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    let lib = syn::parse_file(&lib).unwrap();
    let modules = lib.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

#[test]
fn modules_use_only_modules_above_them() {
    let order = order();
    assert!(order.len() > 10, "{order:?}");
    let place = |name: &String| order.iter().position(|module| module == name);
    for source in sources() {
        let Some(own) = source.place.first().and_then(place) else { continue };
        for path in &source.paths {
            let Some(other) = path.first().and_then(place) else { continue };
            let (name, path) = (source.name(), path.join("::"));
            assert!(other <= own, "{name} uses `{path}`, which is below it in lib.rs");
        }
    }
}

#[test]
fn no_file_takes_from_the_mod_file_of_its_own_folders() {
    let mut found = Vec::new();
    for source in sources().filter(|source| !source.place.is_empty()) {
        for path in source.paths.iter().filter(|path| path.first().is_none_or(|at| at != "::")) {
            let module = module_of(path).unwrap_or_default();
            if module.len() < source.place.len() && source.place.starts_with(&module) {
                found.push(format!("{} takes `{}`", source.name(), path.join("::")));
            }
        }
    }
    assert!(found.is_empty(), "name the file that has it:\n{}", found.join("\n"));
}

#[test]
fn files_of_one_folder_do_not_use_each_other_in_a_circle() {
    // Of each folder: which of its files and folders uses which.
    let mut uses: BTreeMap<Place, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for source in sources() {
        for module in source.paths.iter().filter_map(module_of) {
            let shared = source.place.iter().zip(&module).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (source.place.get(shared), module.get(shared)) {
                let folder = uses.entry(module[..shared].to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    for (folder, mut uses) in uses {
        // Whoever uses nothing that is left is taken away, until a circle is all that stays.
        while let Some(free) = {
            let used = uses.values().flatten().find(|name| !uses.contains_key(*name));
            used.or_else(|| uses.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name))
        } {
            let free = free.clone();
            uses.remove(&free);
            uses.values_mut().for_each(|used| _ = used.remove(&free));
        }
        assert!(uses.is_empty(), "a circle in `{}`: {uses:?}", folder.join("/"));
    }
}

#[test]
fn a_mod_file_declares_and_documents_and_holds_no_logic() {
    let found = sources().filter(|source| source.is_mod_file && !source.only_declares);
    let found: Vec<_> = found.map(Source::name).collect();
    assert!(found.is_empty(), "more than declarations stand in the mod.rs of {found:?}");
}

#[test]
fn tests_stand_beside_what_they_test_or_at_the_end_of_its_file() {
    let found = sources().filter(|source| !source.tests_are_last);
    let found: Vec<_> = found.map(Source::name).collect();
    assert!(found.is_empty(), "production code follows the tests in {found:?}");
}

#[test]
fn only_the_listed_modules_use_these_crates() {
    for (foreign, doors) in [
        ("axum_core", vec!["extract"]),
        ("axum", vec!["ws"]),
        ("hyper", vec!["ws"]),
        ("hyper_util", vec!["ws"]),
        ("jsonwebtoken", vec!["auth"]),
        ("reqwest", vec!["auth"]),
        ("tokio_tungstenite", vec!["ws"]),
        ("tonic", vec!["grpc"]),
        ("tower_service", vec!["middleware"]),
        ("tower_layer", vec!["middleware"]),
        ("tokio::time", vec!["clock", "testing"]),
        ("tokio::spawn", vec!["testing", "ws"]),
        ("humantime", vec!["clock"]),
    ] {
        let wanted: Place = ["::"].into_iter().chain(foreign.split("::")).map(Into::into).collect();
        for source in sources() {
            if !source.place.first().is_some_and(|module| doors.contains(&module.as_str())) {
                let found = source.paths.iter().find(|path| path.starts_with(&wanted));
                assert_eq!(
                    found,
                    None,
                    "{} uses {foreign}, but only these modules may: {doors:?}",
                    source.name()
                );
            }
        }
    }
}
