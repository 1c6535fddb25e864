//! The words and signs of label selectors.

/// A word or sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A key, a value, or one of the words `in` and `notin`: only the place decides which.
    Word(&'a str),
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

impl<'a> Token<'a> {
    /// How it was written.
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Word(word) => word,
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        }
    }
}

/// What is left of a selector.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim_start_matches(is_space) }
    }

    /// The next token, left where it is.
    pub(super) fn peek(&self) -> Token<'a> {
        self.clone().next()
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.read();
        self.rest = self.rest[token.text().len()..].trim_start_matches(is_space);
        token
    }

    fn read(&self) -> Token<'a> {
        let bytes = self.rest.as_bytes();
        match (bytes.first(), bytes.get(1)) {
            (None, _) => Token::End,
            (Some(b'='), Some(b'=')) => Token::DoubleEquals,
            (Some(b'='), _) => Token::Equals,
            (Some(b'!'), Some(b'=')) => Token::NotEquals,
            (Some(b'!'), _) => Token::Not,
            (Some(b'('), _) => Token::Open,
            (Some(b')'), _) => Token::Close,
            (Some(b','), _) => Token::Comma,
            (Some(b'>'), _) => Token::Greater,
            (Some(b'<'), _) => Token::Less,
            _ => Token::Word(self.rest.split(|c| is_sign(c) || is_space(c)).next().unwrap_or_default()),
        }
    }
}
