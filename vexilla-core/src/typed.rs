//! Flag definitions with a type: key and default in one place.
//!
//! ```
//! use vexilla_core::{BoolFlag, Context, IntFlag, Vexilla};
//!
//! const NEW_CHECKOUT: BoolFlag = BoolFlag::new("new_checkout_flow", false);
//! const PAGE_SIZE: IntFlag = IntFlag::new("page_size", 20);
//!
//! let flags = Vexilla::fixed([]).flags(Context::new("user-1"));
//! assert!(!flags.get(NEW_CHECKOUT));
//! assert_eq!(flags.get(PAGE_SIZE), 20);
//! ```

use crate::flags::Flags;

/// A definition of a flag that [`Flags::get`] reads.
pub trait TypedFlag {
    /// The type of its values.
    type Value;

    /// The flag's key.
    fn key(&self) -> &str;

    /// The flag's value, else the default of the definition.
    fn read(self, flags: &Flags) -> Self::Value;
}

impl Flags {
    /// The value of a typed definition, else its default.
    #[must_use]
    pub fn get<T: TypedFlag>(&self, flag: T) -> T::Value {
        flag.read(self)
    }
}

macro_rules! typed_flags {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $getter:ident -> $value:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            key: &'static str,
            default: $type,
        }

        impl $name {
            /// The flag of this key, with the value that it has where Flagr
            /// assigns no variant.
            #[must_use]
            pub const fn new(key: &'static str, default: $type) -> Self {
                Self { key, default }
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
            type Value = $value;

            fn key(&self) -> &str {
                self.key
            }

            fn read(self, flags: &Flags) -> $value {
                flags.$getter(self.key, self.default).into()
            }
        }
    )*};
}

typed_flags! {
    /// A flag with boolean values.
    BoolFlag: bool, bool_or -> bool;
    /// A flag with integer values.
    IntFlag: i64, int_or -> i64;
    /// A flag with floating-point values.
    FloatFlag: f64, float_or -> f64;
    /// A flag with string values.
    StringFlag: &'static str, string_or -> String;
}
