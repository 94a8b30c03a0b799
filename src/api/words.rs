//! Enums of the API: each value and the word it is written with, side by side.

/// Declares enums whose variants are words of the API: serde, schema, `as_str`, `ALL` and `Display` agree by construction.
macro_rules! words {
    ($(
        $(#[$attr:meta])*
        pub enum $name:ident { $( $(#[$variant_attr:meta])* $variant:ident = $word:literal, )+ }
    )+) => {$(
        $(#[$attr])*
        #[derive(
            ::schemars::JsonSchema, ::serde::Serialize, ::serde::Deserialize,
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        #[schemars(transform = $crate::api::words::nameless)]
        pub enum $name {
            $( $(#[$variant_attr])* #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// Every value, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in YAML.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

pub(super) use words;

/// Takes an enum's own description away: in an optional field it would replace the field's.
pub(super) fn nameless(schema: &mut schemars::Schema) {
    schema.remove("description");
}
