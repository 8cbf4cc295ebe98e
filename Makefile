# make demo: build, start the daemon on loopback, stream a simulated rig, compare couplings with the truth.
# make test: build and run every test.
# Both install the HDF5 library through the system's package manager when it is missing, and say so.
# make bench: measure everything on this machine, in one table (README.md, "How fast").

CARGO ?= cargo
FUZZ_SECONDS ?= 60

.PHONY: demo test bench bench-all torture fuzz lint doc setup regenerate

demo: setup
	$(CARGO) run --release --locked --bin glauber -- demo

test: setup
	$(CARGO) test --locked

# One table in target/bench/table.md, also put into README.md with DOCS=1; the program that is measured is built with it. Single parts:
# cargo bench --bench table -- --only counting, or another benchmark, cargo bench --bench NAME; all of these: make bench-all.
bench: setup
	$(CARGO) bench --locked --bench table -- $(if $(DOCS),--write-docs)

bench-all: setup
	$(CARGO) bench --locked

# Kill the daemon so many times at random moments, and compare what it has afterwards with what it acknowledged.
KILLS ?= 2000

torture: setup
	$(CARGO) build --release --locked --bin glauber --example torture
	target/release/examples/torture --kills $(KILLS)

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# FUZZ_SECONDS for each target; needs the nightly toolchain and cargo-fuzz (fuzz/README.md).
fuzz: setup
	fuzz/run $(FUZZ_SECONDS)

# Generate the gRPC code anew after a change under proto/. Builds the core alone: the daemon may not compile before.
regenerate: setup
	GLAUBER_REGENERATE=1 $(CARGO) test --locked --no-default-features --test generated_proto

setup:
	@./setup.sh
