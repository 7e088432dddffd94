//! Tests of the architecture: which modules a module may use, and where tests may be.
//!
//! A module may use only the modules above it in `lib.rs`. These tests parse the sources with `syn`, so they
//! find each path: in a `use`, in an expression, or in the arguments of a macro.

use proc_macro2::{TokenStream, TokenTree};
use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};
use syn::{
    Attribute, Item, UseTree,
    visit::{self, Visit},
};

/// The path of a module, such as `["auth", "jwt", "claims"]`. The crate's root is empty.
type Place = Vec<String>;

/// One source file.
struct Source {
    place: Place,
    /// Whether the whole file is test code.
    is_test: bool,
    /// Whether no production code follows a module of tests.
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
        let mut paths = Paths { inside: place.clone(), found: BTreeSet::new() };
        paths.visit_file(&syntax);
        Self {
            is_test: place.iter().any(|part| part == "tests" || part == "fixtures"),
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
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.add(&path);
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
fn modules_of_tests_are_at_the_end_of_their_file() {
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
