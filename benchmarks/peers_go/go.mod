module foliot/benchmarks/peers

go 1.21
