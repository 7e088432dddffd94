//! Checks that links in Markdown work at each place that shows the page.

use std::{fs, path::Path};

/// Each target of a link in Markdown: `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    let mut found = Vec::new();
    for line in prose {
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            found.push(target.trim());
        }
        // A target has no spaces: `](a b)` is not a link.
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(inline.map(|(target, _)| target).filter(|target| !target.contains(' ')));
    }
    found
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// crates.io, rustdoc and GitHub show the README at different URLs, so a relative link would work at only one of
/// them.
#[test]
fn the_readme_has_no_relative_link() {
    let readme = page("README.md");
    let links = links(&readme);
    assert!(links.len() >= 3, "{links:?}");
    for link in links {
        assert!(link.starts_with("https://"), "`{link}` is relative: it does not work in rustdoc");
    }
}

/// The pages that rustdoc shows. rustdoc itself checks the paths of items.
const GUIDE: [&str; 3] = ["docs/guide.md", "docs/identity-providers.md", "docs/reverse-proxies.md"];

#[test]
fn the_pages_of_the_guide_link_to_items_and_addresses() {
    for name in GUIDE {
        for link in links(&page(name)) {
            let leads = ["https://", "crate::", "#"].iter().any(|start| link.starts_with(start));
            assert!(leads, "{name}: `{link}` is relative: it does not work in rustdoc");
        }
    }
}

/// GitHub shows the other pages at their paths in the repository, so relative links work.
#[test]
fn the_other_pages_link_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Only a clone has all files that the pages link to. The package does not.
    if !root.join("scripts").exists() {
        return;
    }
    let mut pages = 0;
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = format!("{folder}{}", entry.unwrap().file_name().display());
            if !name.ends_with(".md") || name == "README.md" || GUIDE.contains(&name.as_str()) {
                continue;
            }
            pages += 1;
            for link in links(&page(&name)).into_iter().filter(|link| !link.starts_with("https://"))
            {
                let file = link.split('#').next().unwrap();
                assert!(root.join(folder).join(file).exists(), "{name}: `{link}` does not exist");
            }
        }
    }
    assert!(pages >= 4, "only {pages} pages");
}
