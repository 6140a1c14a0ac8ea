//! The objects of a fabric one by one, for the simulator, which keeps a tree of them.

use super::DemoFabric;

impl DemoFabric {
    /// Returns the numbers of the objects there are.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.state.live
    }

    /// Returns the class of an object, which may be gone.
    pub(crate) fn class_name(&self, id: u32) -> &'static str {
        self.state.object(id).class.name()
    }

    /// Returns the DN of an object, which may be gone.
    pub(crate) fn dn(&self, id: u32) -> String {
        self.state.dn(id)
    }

    /// Calls `each` with every attribute of an object in name order; the class is not among them.
    pub(crate) fn each_attribute(&self, id: u32, scratch: &mut String, mut each: impl FnMut(&str, &str)) {
        self.state.each_attribute(id, scratch, |name, value| {
            if name != fabrik_core::CLASS_NAME {
                each(name, value);
            }
        });
    }
}
