//! The operators of the condition language, and how tightly they bind.

use std::fmt;

/// An operator between two operands (conditions v0.2.6, `token.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    And,
    Or,
    Xor,
    Nand,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    NotMatches,
    In,
    NotIn,
    Contains,
    NotContains,
}

impl Operator {
    /// How tightly it binds, from 1 (loosely) to 3.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or | Self::Xor => 1,
            Self::And | Self::Nand => 2,
            _ => 3,
        }
    }

    /// The spelling that constraint text uses for one of the twelve operators
    /// of Flagr's API (Flagr 1.2, `pkg/entity/constraint.go`).
    pub(super) fn symbol_of(name: &str) -> Option<&'static str> {
        Some(match name {
            "EQ" => "==",
            "NEQ" => "!=",
            "LT" => "<",
            "LTE" => "<=",
            "GT" => ">",
            "GTE" => ">=",
            "EREG" => "=~",
            "NEREG" => "!~",
            "IN" => "IN",
            "NOTIN" => "NOT IN",
            "CONTAINS" => "CONTAINS",
            "NOTCONTAINS" => "NOT CONTAINS",
            _ => return None,
        })
    }
}

impl fmt::Display for Operator {
    /// As constraint text spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Nand => "NAND",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::Contains => "CONTAINS",
            Self::NotContains => "NOT CONTAINS",
        })
    }
}
