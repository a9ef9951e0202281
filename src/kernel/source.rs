//! The user's WGSL text and how an error points into it: line, column, the line itself and a caret.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;

use crate::error::Error;

/// Text a user wrote, with the name its errors carry.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The kernel's name, or the best guess while it is not known.
    pub name: String,
    /// What the user wrote.
    pub text: Arc<str>,
    /// Bytes that stand before it in the text naga reads, which places are counted in.
    pub offset: usize,
}

/// Where in a text something stands. Columns count characters.
struct Location<'a> {
    line: u32,
    column: u32,
    text: &'a str,
    /// Bytes of `text`, never empty unless at its end.
    marked: Range<usize>,
}

impl Source {
    /// The error for text that is not valid WGSL. `label` says in a few words what is wrong with what the caret shows.
    pub(crate) fn invalid(
        &self,
        place: Option<Range<usize>>,
        message: &str,
        label: &str,
        notes: &[String],
    ) -> Error {
        let (line, column, message) = self.diagnostic(place, message, label, notes);
        Error::Wgsl { kernel: self.name.clone(), line, column, message }
    }

    /// The error for valid WGSL that cannot be run. `help` says what to do instead.
    pub(crate) fn unsupported(&self, place: Option<Range<usize>>, construct: &str, help: &str) -> Error {
        self.unsupported_in("a map kernel", place, construct, help)
    }

    /// The same for what is no map kernel.
    pub(crate) fn unsupported_in(
        &self,
        what: &str,
        place: Option<Range<usize>>,
        construct: &str,
        help: &str,
    ) -> Error {
        let message = format!("{construct}: not supported in {what}");
        let (line, _, message) = self.diagnostic(place, &message, "", &[help.to_owned()]);
        Error::Unsupported { kernel: self.name.clone(), construct: construct.to_owned(), line, message }
    }

    /// Line, column (0 without a place) and the whole message, in which nothing redraws the terminal.
    fn diagnostic(
        &self,
        place: Option<Range<usize>>,
        message: &str,
        label: &str,
        notes: &[String],
    ) -> (u32, u32, String) {
        let (line, column, text) = self.message(place, message, label, notes);
        (line, column, text.chars().map(|c| if c == '\n' { c } else { printable(c) }).collect())
    }

    fn message(
        &self,
        place: Option<Range<usize>>,
        message: &str,
        label: &str,
        notes: &[String],
    ) -> (u32, u32, String) {
        let mut all = String::new();
        let Some(location) = place.map(|place| self.locate(place)) else {
            let _ = write!(all, "{}: {message}", self.name);
            self.notes(&mut all, 0, notes);
            return (0, 0, all);
        };
        let Location { line, column, text, marked } = location;
        let digits = line.to_string().len();
        let _ = write!(all, "{}:{line}:{column}: {message}", self.name);
        let (text, marked) = shorten(text, marked);
        let _ = write!(all, "\n{line} | {text}");
        // Tabs are copied, so that the caret stands under its character at any tab width.
        let indent: String = text[..marked.start]
            .chars()
            .flat_map(|c| {
                if c == '\t' { std::iter::repeat_n('\t', 1) } else { std::iter::repeat_n(' ', width(c)) }
            })
            .collect();
        let carets = text[marked].chars().map(width).sum::<usize>().max(1);
        let _ = write!(all, "\n{:digits$} | {indent}{}", "", "^".repeat(carets));
        if !label.is_empty() {
            let _ = write!(all, " {label}");
        }
        self.notes(&mut all, digits, notes);
        (line, column, all)
    }

    fn notes(&self, all: &mut String, indent: usize, notes: &[String]) {
        for note in notes {
            let _ = write!(all, "\n{:indent$} = {note}", "");
        }
    }

    /// The line a place starts in, and the part of the place in that line.
    fn locate(&self, place: Range<usize>) -> Location<'_> {
        let text = &*self.text;
        // naga's places may lie in text around the user's, or (rarely) within a character.
        let clamp = |at: usize| {
            let mut at = at.saturating_sub(self.offset).min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let mut start = clamp(place.start);
        // Past the end of the text is the end of what is written there.
        if start == text.len() {
            start = text.trim_end().len();
        }
        let end = clamp(place.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let marked = (start - line_start).min(line.len())..(end - line_start).min(line.len());
        Location {
            line: 1 + count(text[..line_start].matches('\n').count()),
            column: 1 + count(text[line_start..start].chars().count()),
            text: line,
            marked: marked.start..marked.end.max(marked.start),
        }
    }
}

/// What of a line longer than [`SHOWN`] characters is shown: what stands around the mark.
fn shorten(text: &str, marked: Range<usize>) -> (Cow<'_, str>, Range<usize>) {
    if text.chars().count() <= SHOWN {
        return (text.into(), marked);
    }
    let start = text[..marked.start].char_indices().rev().nth(SHOWN / 2 - 1).map_or(0, |(at, _)| at);
    let end = text[start..].char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| start + at);
    let before = if start > 0 { "…" } else { "" };
    let after = if end < text.len() { "…" } else { "" };
    let moved = |at: usize| at.min(end) - start + before.len();
    (format!("{before}{}{after}", &text[start..end]).into(), moved(marked.start)..moved(marked.end))
}

/// Characters of a line that are shown.
const SHOWN: usize = 100;

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Columns a character takes in a terminal.
fn width(c: char) -> usize {
    printable(c).width().unwrap_or(1)
}

/// Control characters, which could redraw the terminal, as U+FFFD.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}
