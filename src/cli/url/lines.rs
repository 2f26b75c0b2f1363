//! Lines of stdin, each answered by one line.

use std::io::{self, BufRead, Read as _};

use serde_json::json;

use crate::{
    app::preview::Violation,
    cli::{
        Failure,
        screen::{Output, Screen},
        wish, words,
    },
};

/// No wish and no link that any daemon takes is longer.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What becomes of bad lines.
pub(super) struct Bad {
    pub(super) end: fn(String) -> Failure,
    /// Behind "2 of 3 lines".
    pub(super) told: &'static str,
}

/// Answers line after line until there is none or nobody reads the answers.
///
/// # Errors
///
/// A stdin that cannot be read; as text the first bad line, as JSON after all lines how many were bad.
pub(super) fn each(
    stdin: &mut dyn BufRead,
    screen: &Screen,
    bad: &Bad,
    mut answer: impl FnMut(&str) -> Result<String, Vec<Violation>>,
) -> Result<(), Failure> {
    let (mut line, mut number, mut bad_lines) = (String::new(), 0, 0);
    while next(stdin, &mut line).map_err(|error| unreadable(number + 1, &error))? {
        number += 1;
        let mut answered = match answer(line.trim_end_matches(['\n', '\r'])) {
            Ok(answered) => answered,
            Err(violations) if screen.output == Output::Table => {
                return Err(wish::blaming((bad.end)(format!("line {number} is bad")), violations));
            }
            Err(violations) => {
                bad_lines += 1;
                let error = |it: &Violation| json!({ "field": it.field, "rule": it.rule });
                let error: Vec<_> = violations.iter().map(error).collect();
                json!({ "line": number, "error": error }).to_string()
            }
        };
        answered.push('\n');
        if !screen.print_on(&answered)? {
            break;
        }
    }
    if bad_lines == 0 {
        return Ok(());
    }
    let lines = words::counted(number, "line");
    Err((bad.end)(format!("{bad_lines} of {lines} {}", bad.told)))
}

fn next(stdin: &mut dyn BufRead, line: &mut String) -> io::Result<bool> {
    line.clear();
    let read = stdin.take(LINE_BYTES_MAX).read_line(line)?;
    if read as u64 == LINE_BYTES_MAX && !line.ends_with('\n') {
        let rule = format!("it has more than {LINE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, rule));
    }
    Ok(read > 0)
}

fn unreadable(number: usize, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot read line {number} of stdin: {error}"))
}
