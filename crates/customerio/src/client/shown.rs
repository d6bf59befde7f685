use std::error::Error;
use std::fmt;

use secrecy::zeroize::Zeroizing;

use super::exchange::BoxError;
use super::mask::hidden;
use crate::response::sanitize;

/// A chain of errors is short; this one ends even if one is its own source.
const MOST: usize = 16;

/// Returns an error that may be shown: itself, unless a text of it repeats the credentials, or
/// holds more of the server's words than is kept, or such as act on a terminal. The debug data of
/// an HTTP/2 GOAWAY may be our own request.
///
/// Then all of it is text: the types behind it would show the words again.
pub(super) fn showable(error: BoxError, secrets: &[Zeroizing<String>]) -> BoxError {
    let first: &(dyn Error + 'static) = &*error;
    let chain = std::iter::successors(Some(first), |&error| error.source());
    let levels: Vec<_> = chain
        .take(MOST + 1)
        .map(|error| Level::of(error, secrets))
        .collect();
    if levels.len() <= MOST && levels.iter().all(|level| level.is_as_it_was) {
        return error;
    }
    let levels = levels.into_iter().take(MOST).rev();
    let shown = levels.fold(None, |source, level| {
        Some(Box::new(Shown {
            display: level.display,
            debug: level.debug,
            source,
        }))
    });
    shown.map_or(error, |shown| shown as BoxError)
}

struct Level {
    display: String,
    debug: String,
    is_as_it_was: bool,
}

impl Level {
    fn of(error: &dyn Error, secrets: &[Zeroizing<String>]) -> Self {
        let (display, debug) = (error.to_string(), format!("{error:?}"));
        let show = |text: &str| sanitize(&hidden(text, secrets));
        let shown = Self {
            display: show(&display),
            debug: show(&debug),
            is_as_it_was: false,
        };
        Self {
            is_as_it_was: shown.display == display && shown.debug == debug,
            ..shown
        }
    }
}

/// Says what another error said.
struct Shown {
    display: String,
    debug: String,
    source: Option<Box<Self>>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl Error for Shown {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const SECRET: &str = "pass\"word\\\u{e9}";

    fn shown(error: impl Into<BoxError>) -> BoxError {
        showable(error.into(), &[Zeroizing::new(SECRET.to_owned())])
    }

    fn texts(error: &BoxError) -> String {
        let first: &(dyn Error + 'static) = &**error;
        let chain = std::iter::successors(Some(first), |&error| error.source());
        chain.map(|error| format!("{error} {error:?}\n")).collect()
    }

    /// Quotes what it was told, as an error of a transport does.
    #[derive(Debug)]
    struct Quoting(&'static [u8], Option<Box<Self>>);

    impl fmt::Display for Quoting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "received: {:?}", bytes::Bytes::from_static(self.0))
        }
    }

    impl Error for Quoting {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1
                .as_deref()
                .map(|source| source as &(dyn Error + 'static))
        }
    }

    #[test]
    fn an_error_that_may_be_shown_keeps_its_type() {
        let error = shown(io::Error::other("reset"));
        assert!(error.is::<io::Error>());
    }

    #[test]
    fn secrets_are_hidden_however_they_are_quoted() {
        for error in [
            shown(SECRET),
            shown(io::Error::other(SECRET)),
            shown(Quoting(SECRET.as_bytes(), None)),
            shown(Quoting(
                b"",
                Some(Box::new(Quoting(SECRET.as_bytes(), None))),
            )),
        ] {
            let texts = texts(&error);
            assert!(texts.contains("[redacted]"), "{texts}");
            assert!(
                !texts.contains("pass") && !texts.contains("word"),
                "{texts}"
            );
        }
    }

    #[test]
    fn words_are_bounded_and_do_not_act() {
        let texts = texts(&shown(format!("{}\u{1b}[2J", "x".repeat(100))));
        assert!(!texts.contains('\u{1b}'), "{texts}");
        assert!(texts.contains(r"\u{1b}"), "{texts}");
        let long = shown("x".repeat(100_000));
        assert!(long.to_string().len() <= 1_000);
    }
}
