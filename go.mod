module trent

go 1.26
