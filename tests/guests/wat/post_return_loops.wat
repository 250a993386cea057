;; Says what it is, and loops when the host has read it.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "cabi_post_describe") (param i32) (loop $again (br $again)))
  (func (export "handle") (param i32) (result i32) (i32.const 16))
  (data (i32.const 0) "\20\00\00\00\19\00\00\00")
  (data (i32.const 32) "{\22sdk\22:\220\22,\22entries\22:[]}")
)
