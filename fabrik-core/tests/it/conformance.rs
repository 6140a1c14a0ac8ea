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

#[cfg(feature = "postgres")]
mod postgres {
    fabrik_core::store_conformance!(pollster::block_on, Box::new(crate::helpers::postgres()));
}

/// In the tasks of a server, which drop the store as well.
#[cfg(feature = "postgres")]
mod postgres_in_a_server {
    fn in_a_server<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::new().unwrap().block_on(work)
    }

    fabrik_core::store_conformance!(in_a_server, Box::new(crate::helpers::postgres()));
}

#[cfg(feature = "postgres")]
mod faulty_postgres {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::faulty_postgres());
}

mod cancellable_memory {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::cancellable_memory());
}

#[cfg(feature = "sqlite")]
mod cancellable_sqlite {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::cancellable_sqlite());
}

#[cfg(feature = "postgres")]
mod cancellable_postgres {
    fabrik_core::store_conformance!(pollster::block_on, crate::helpers::cancellable_postgres());
}
