//! Every store passes the suite, by itself and behind a decorator.

mod memory {
    use fabrik_core::store::MemoryStore;

    fabrik_core::store_conformance!(pollster::block_on, Box::new(MemoryStore::default()));
}

mod faulty_memory {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::faulty_memory());
}

#[cfg(feature = "sqlite")]
mod sqlite {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::sqlite());
}

#[cfg(feature = "sqlite")]
mod faulty_sqlite {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::faulty_sqlite());
}
