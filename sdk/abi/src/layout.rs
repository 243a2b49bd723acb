//! The macro that declares a struct of the interface with the offset of every field, and asserts them.
//!
//! A wrong order of fields of one size passes every check of `sizeof`, so each offset is written down and compared at
//! compile time. The same numbers are there as data, for the golden file. It knows no struct by name.

/// Whether a struct may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// Never changes.
    Frozen,
    /// May grow at its end; begins with its size, or holds it in its frozen part.
    Open,
}

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in C.
    pub name: &'static str,
    /// Bytes before it.
    pub offset: usize,
    /// Its own bytes.
    pub size: usize,
}

/// How a struct lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Whether it may grow.
    pub frozen: Frozen,
    /// Its bytes.
    pub size: usize,
    /// Its fields, in order.
    pub fields: &'static [Field],
}

/// Declares `#[repr(C)]` structs: `candor_x Frozen 16 = struct X { 0 => field: Type, }`.
macro_rules! layout {
    ($(
        $(#[$meta:meta])*
        $c_name:ident $frozen:ident $size:literal = struct $name:ident {
            $($(#[$field_meta:meta])* $offset:literal => $field:ident: $type:ty,)+
        }
    )+) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)+ }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $(assert!(core::mem::offset_of!($name, $field) == $offset);)+
        };

        impl $name {
            /// How it lies in memory.
            pub const LAYOUT: $crate::Layout = $crate::Layout {
                name: stringify!($c_name),
                frozen: $crate::Frozen::$frozen,
                size: $size,
                fields: &[$($crate::Field {
                    name: $crate::layout::plain(stringify!($field)),
                    offset: $offset,
                    size: core::mem::size_of::<$type>(),
                },)+],
            };
        }
    )+};
}

/// The name in C of a field that is a keyword in Rust.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        b"self_" => "self",
        b"type_" => "type",
        _ => name,
    }
}

/// A field of the other side's open struct, or `None` when its `struct_size` says that it ends before the field.
///
/// `has!(pointer => Struct.field)`; the pointer must be readable for as many bytes as its `struct_size` says, and for
/// the size itself. Expands to unsafe code, so use it in an unsafe block.
#[macro_export]
macro_rules! has {
    ($pointer:expr => $name:ident.$field:ident) => {{
        let pointer: *const $crate::$name = $pointer;
        let end = ::core::mem::offset_of!($crate::$name, $field) + $crate::size_of_field(|x: &$crate::$name| &x.$field);
        if (&raw const (*pointer).struct_size).read() as usize >= end {
            Some((&raw const (*pointer).$field).read())
        } else {
            None
        }
    }};
}

/// Bytes of the field that `_pick` picks. Part of [`has!`].
#[doc(hidden)]
pub const fn size_of_field<S, F>(_pick: fn(&S) -> &F) -> usize {
    core::mem::size_of::<F>()
}
