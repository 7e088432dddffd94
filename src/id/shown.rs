//! Names in log lines: shortened, quoted and escaped.

/// The first few of `names` in quotes, and the number of the others. The text always has at most 200
/// bytes.
pub(crate) fn few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    const WHOLE: usize = 150;
    let mut text = String::from("[");
    let (mut shown, mut more) = (0, 0_usize);
    for name in names {
        let quoted = quoted(name);
        if more == 0 && shown < MOST && text.len() + quoted.len() + 2 < WHOLE {
            text.push_str(if shown == 0 { "" } else { ", " });
            text.push_str(&quoted);
            shown += 1;
        } else {
            more += 1;
        }
    }
    text.push(']');
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The start of a text, in quotes and escaped.
fn quoted(text: &str) -> String {
    const MOST: usize = 100;
    let mut quoted = String::from('"');
    for char in text.chars() {
        if quoted.len() >= MOST {
            quoted.push('…');
            break;
        }
        quoted.extend(char.escape_debug());
    }
    quoted.push('"');
    quoted
}
