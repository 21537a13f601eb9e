// RPCCodeGen
