use std::fmt;
use std::path::Path;

use subtle::{Choice, ConstantTimeEq};
use tonic::codegen::http::HeaderValue;

use super::SecurityError;

const KEY: &str = "server.token_file";
/// Fewest characters of a token: 128 bits when written in hexadecimal digits.
const TOKEN_CHARS_MIN: usize = 32;
/// Most characters of a token.
const TOKEN_CHARS_MAX: usize = 512;
/// Most tokens of a file; each call is compared with all of them.
const TOKENS_MAX: usize = 1024;

/// The tokens that are accepted.
pub(in crate::daemon) struct Tokens {
    tokens: Vec<Token>,
}

struct Token {
    name: String,
    secret: Box<[u8]>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tokens.iter().map(|token| &token.name)).finish()
    }
}

/// What is wrong with a line, from 1; line 0 is the file as a whole.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    line: usize,
    problem: &'static str,
}

impl Tokens {
    pub(super) fn load(path: &Path) -> Result<Self, SecurityError> {
        let content = super::read(KEY, path)?;
        super::warn_when_readable_by_all(KEY, path);
        Self::parse(&String::from_utf8_lossy(&content)).map_err(|Problem { line, problem }| match line {
            0 => SecurityError::Content {
                key: KEY,
                path: path.to_path_buf(),
                found: problem.to_owned(),
                expected: "1 to 1024 lines 'name:token'",
            },
            _ => SecurityError::Token { path: path.to_path_buf(), line, problem },
        })
    }

    /// One `name:token` per line; empty lines and those that begin with `#` are passed over.
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut tokens: Vec<Token> = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let wrong = |problem| Problem { line: place + 1, problem };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, secret)) = line.split_once(':') else {
                return Err(wrong("expected 'name:token'"));
            };
            let (name, secret) = (name.trim(), secret.trim());
            if name.is_empty() {
                return Err(wrong("the name is empty: expected 'name:token'"));
            }
            if tokens.iter().any(|token| token.name == name) {
                return Err(wrong("the name has come before: expected each once"));
            }
            check_token(secret).map_err(wrong)?;
            tokens.push(Token { name: name.to_owned(), secret: secret.as_bytes().into() });
            if tokens.len() > TOKENS_MAX {
                return Err(wrong("more than 1024 tokens"));
            }
        }
        if tokens.is_empty() {
            return Err(Problem { line: 0, problem: "no token" });
        }
        Ok(Self { tokens })
    }

    /// The name of the token that an `authorization` header holds. Every token is compared, each in a time that does not depend on where
    /// the two differ.
    pub(super) fn name_of(&self, authorization: &HeaderValue) -> Option<&str> {
        let (scheme, given) = authorization.as_bytes().split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let mut found = None;
        for token in &self.tokens {
            if Choice::into(token.secret.ct_eq(given.trim_ascii())) {
                found = Some(token.name.as_str());
            }
        }
        found
    }
}

/// Whether a text can be a token: 32 to 512 characters that a header may hold (RFC 6750).
fn check_token(text: &str) -> Result<(), &'static str> {
    if text.len() < TOKEN_CHARS_MIN {
        return Err(
            "a token shorter than 32 characters can be guessed: make one with `openssl rand -hex 32`",
        );
    }
    if text.len() > TOKEN_CHARS_MAX {
        return Err("the token is longer than 512 characters");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err("the token has a character other than letters, digits and -._~+/=");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef0123456789abcdef";
    const SECOND: &str = "fedcba9876543210fedcba9876543210";

    fn name_of(tokens: &Tokens, header: &str) -> Option<String> {
        tokens.name_of(&HeaderValue::from_str(header).unwrap()).map(str::to_owned)
    }

    #[test]
    fn a_token_is_known_by_its_whole_text() {
        let text = format!("# rigs\n\n rig-1 : {FIRST}\nrig-2:{SECOND}\r\n");
        let tokens = Tokens::parse(&text).unwrap();
        assert_eq!(name_of(&tokens, &format!("Bearer {FIRST}")).as_deref(), Some("rig-1"));
        assert_eq!(name_of(&tokens, &format!("bearer {SECOND}")).as_deref(), Some("rig-2"));
        let wrong = [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            FIRST.to_owned(),
            format!("Basic {FIRST}"),
            format!("Bearer {}", &FIRST[1..]),
            format!("Bearer {FIRST}0"),
            format!("Bearer rig-1:{FIRST}"),
        ];
        for header in wrong {
            assert_eq!(name_of(&tokens, &header), None, "{header}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_without_its_token() {
        let problem = |text: &str| {
            let Err(Problem { line, problem }) = Tokens::parse(text) else { panic!("{text:?} was taken") };
            assert!(!problem.contains(FIRST));
            (line, problem.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(problem(""), (0, "no token".to_owned()));
        assert_eq!(problem("# rig:token\n"), (0, "no token".to_owned()));
        assert_eq!(problem(FIRST), (1, "expected 'name:token'".to_owned()));
        assert_eq!(problem(&format!("\n:{FIRST}")), (2, "the name is".to_owned()));
        assert_eq!(problem(&format!("a:{FIRST}\na:{SECOND}")), (2, "the name has".to_owned()));
        assert_eq!(problem(&format!("a:{}", &FIRST[1..])), (1, "a token shorter".to_owned()));
        assert_eq!(problem(&format!("a:{}", FIRST.repeat(17))), (1, "the token is".to_owned()));
        assert_eq!(problem(&format!("a:{FIRST} x")), (1, "the token has".to_owned()));
        assert_eq!(problem(&format!("a:{FIRST}ü")), (1, "the token has".to_owned()));
    }

    #[test]
    fn nothing_shows_a_token() {
        let tokens = Tokens::parse(&format!("rig:{FIRST}")).unwrap();
        assert_eq!(format!("{tokens:?}"), "[\"rig\"]");
    }
}
