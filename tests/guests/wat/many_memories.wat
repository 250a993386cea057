;; Each memory is within the limit; five hundred of them are not.
(component
  (core module $one (memory (export "memory") 1000))
  ;; INSTANCES
)
