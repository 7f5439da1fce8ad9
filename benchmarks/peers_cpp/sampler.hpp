// Timing and printing for the C++ contenders: warm up, find how many iterations make a sample long
// enough, take the samples, print the JSON of benchmarks/protocol.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench
{

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// How long a body runs before anything is recorded.
inline constexpr Seconds kWarmUp{0.1};
// No sample repeats its body more often than this.
inline constexpr uint64_t kMaxInner = uint64_t{1} << 24;

// Seconds per task, one value per sample, and the number that shows the work was done.
struct Outcome {
    std::vector<double> seconds;
    uint64_t inner = 0;
    uint64_t checksum = 0;
};

// What was asked for on the command line.
struct Sampler {
    long samples;
    Seconds minimum;

    // Times a body of `units` tasks; the checksum is read after the last sample.
    template <class Body> Outcome time(uint64_t units, Body &&body) const
    {
        auto run = [&](uint64_t inner) {
            const auto start = Clock::now();
            for (uint64_t i = 0; i < inner; i++) {
                body();
            }
            return Seconds{Clock::now() - start};
        };
        Outcome outcome;
        outcome.inner = calibrate(run);
        for (long i = 0; i < samples; i++) {
            outcome.seconds.push_back(run(outcome.inner).count() / outcome.inner / units);
        }
        return outcome;
    }

  private:
    template <class Run> uint64_t calibrate(Run &run) const
    {
        const auto start = Clock::now();
        // The first run pays for what later ones find ready: threads, pages, free lists.
        run(1);
        uint64_t inner = 1;
        while (inner < kMaxInner && run(inner) < minimum) {
            inner *= 2;
        }
        while (Clock::now() - start < kWarmUp) {
            run(inner);
        }
        return inner;
    }
};

using Workload = std::function<Outcome(const Sampler &)>;

inline int run_main(const char *peer, const std::map<std::string, Workload> &workloads, int argc,
                    char **argv)
{
    const std::string name = argc > 1 ? argv[1] : "";
    if (name == "list") {
        for (const auto &entry : workloads) {
            std::printf("%s %s\n", peer, entry.first.c_str());
        }
        return 0;
    }
    const auto found = workloads.find(name);
    if (found == workloads.end()) {
        std::fprintf(stderr, "usage: %s list | %s WORKLOAD [SAMPLES] [MINIMUM_MS]\n", argv[0],
                     argv[0]);
        return 2;
    }
    const long samples = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 20;
    const double minimum_ms = argc > 3 ? std::strtod(argv[3], nullptr) : 5.0;
    const Sampler sampler{samples < 1 ? 1 : samples, Seconds{minimum_ms / 1e3}};
    const Outcome outcome = found->second(sampler);
    std::printf("{\"peer\": \"%s\", \"workload\": \"%s\", \"seconds\": [", peer, name.c_str());
    for (size_t i = 0; i < outcome.seconds.size(); i++) {
        std::printf("%s%.9e", i == 0 ? "" : ", ", outcome.seconds[i]);
    }
    std::printf("], \"inner\": %llu, \"checksum\": %llu}\n",
                static_cast<unsigned long long>(outcome.inner),
                static_cast<unsigned long long>(outcome.checksum));
    return 0;
}

} // namespace bench
