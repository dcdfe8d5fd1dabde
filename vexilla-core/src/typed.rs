//! Flag definitions with a type: key and default in one place.
//!
//! ```
//! use vexilla_core::{BoolFlag, Context, IntFlag, Vexilla};
//!
//! static NEW_CHECKOUT: BoolFlag = BoolFlag::new("new_checkout_flow", false);
//! static PAGE_SIZE: IntFlag = IntFlag::new("page_size", 20);
//!
//! let flags = Vexilla::fixed([]).flags(Context::new("user-1"));
//! assert!(!flags.get(&NEW_CHECKOUT));
//! assert_eq!(flags.get(&PAGE_SIZE), 20);
//! ```
//!
//! A definition remembers where its flag stands in the flags that were read last,
//! so that a `static` is read faster than a key. (A `const` works too, but is made
//! anew wherever it is named, and remembers nothing.) One definition can be read
//! through several [`Vexilla`](crate::Vexilla)s; each search is then made again.

use crate::flags::Flags;
use crate::snapshot::PositionHint;

/// A definition of a flag that [`Flags::get`] reads.
pub trait TypedFlag {
    /// The type of its values; a string is that of the flag or the default of
    /// the definition.
    type Value<'f>
    where
        Self: 'f;

    /// The flag's key.
    fn key(&self) -> &str;

    /// The flag's value, else the default of the definition.
    fn read<'f>(&'f self, flags: &'f Flags) -> Self::Value<'f>;
}

impl Flags {
    /// The value of a typed definition, else its default.
    #[must_use]
    pub fn get<'f, T: TypedFlag>(&'f self, flag: &'f T) -> T::Value<'f> {
        flag.read(self)
    }
}

macro_rules! typed_flags {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $read:ident -> $value:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            key: &'static str,
            default: $type,
            hint: PositionHint,
        }

        impl $name {
            /// The flag of this key, with the value that it has where Flagr
            /// assigns no variant.
            #[must_use]
            pub const fn new(key: &'static str, default: $type) -> Self {
                Self { key, default, hint: PositionHint::unknown() }
            }

            /// The flag's key.
            #[must_use]
            pub const fn key(&self) -> &'static str {
                self.key
            }

            /// The value where Flagr assigns no variant.
            #[must_use]
            pub const fn default_value(&self) -> $type {
                self.default
            }
        }

        impl TypedFlag for $name {
            type Value<'f> = $value;

            fn key(&self) -> &str {
                self.key
            }

            fn read<'f>(&'f self, flags: &'f Flags) -> $value {
                let position = flags.snapshot().position_near(self.key, &self.hint);
                flags.$read(self.key, position, self.default)
            }
        }
    )*};
}

typed_flags! {
    /// A flag with boolean values.
    BoolFlag: bool, bool_at -> bool;
    /// A flag with integer values.
    IntFlag: i64, int_at -> i64;
    /// A flag with floating-point values.
    FloatFlag: f64, float_at -> f64;
    /// A flag with string values.
    StringFlag: &'static str, str_at -> &'f str;
}
