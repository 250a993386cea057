;; Begins with a table of 100 million functions.
(module
  (table 100000000 funcref)
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32) (i32.const 16))
)
