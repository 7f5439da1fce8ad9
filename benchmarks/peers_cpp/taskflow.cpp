// Taskflow: an executor with two workers. Graphs are taskflows, run again and again; trees are
// `silent_async` of a runtime, joined with `corun_all`; loops are `for_each_index`.

#include <taskflow/algorithm/for_each.hpp>
#include <taskflow/taskflow.hpp>

#include "sampler.hpp"
#include "work.hpp"

namespace
{

using bench::Outcome;
using bench::Sampler;

// Runs a body on a worker, as the one task of a taskflow, and waits for it.
template <class Body> void on_worker(tf::Executor &executor, Body &&body)
{
    tf::Taskflow flow;
    flow.emplace([&](tf::Runtime &runtime) { body(runtime); });
    executor.run(flow).wait();
}

Outcome empty(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    work::Bytes bytes;
    uint8_t round = 0;
    Outcome outcome = sampler.time(work::kMillion, [&] {
        round++;
        on_worker(executor, [&](tf::Runtime &runtime) {
            for (uint8_t &slot : bytes.slots) {
                runtime.silent_async([&slot, round] { slot = round; });
            }
            runtime.corun_all();
        });
    });
    outcome.checksum = bytes.count(round);
    return outcome;
}

Outcome dag(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    std::vector<work::Counter> counters(work::kNodes);
    tf::Taskflow flow;
    std::vector<tf::Task> tasks;
    for (work::Counter &counter : counters) {
        tasks.push_back(flow.emplace([&counter] { counter.add(); }));
    }
    for (size_t index = work::kWidth; index < work::kNodes; index++) {
        const size_t before = (index / work::kWidth - 1) * work::kWidth;
        for (size_t i = before; i < before + work::kWidth; i++) {
            tasks[i].precede(tasks[index]);
        }
    }
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(work::kNodes, [&] {
        rounds++;
        executor.run(flow).wait();
    });
    outcome.checksum = work::count_runs(counters, rounds);
    return outcome;
}

uint64_t fib_node(tf::Runtime &runtime, uint32_t n)
{
    if (n < 2) {
        return n;
    }
    uint64_t spawned = 0;
    runtime.silent_async([&spawned, n](tf::Runtime &own) { spawned = fib_node(own, n - 1); });
    // The call shares this runtime, and so waits for `spawned` too: more than it has to, but a
    // runtime of its own would take a second task.
    const uint64_t called = fib_node(runtime, n - 2);
    runtime.corun_all();
    return called + spawned;
}

Outcome fib(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    uint64_t result = 0;
    Outcome outcome = sampler.time(work::kFibSpawns, [&] {
        on_worker(executor, [&](tf::Runtime &runtime) { result = fib_node(runtime, work::kFib); });
    });
    outcome.checksum = result;
    return outcome;
}

uint64_t skynet_node(tf::Runtime &runtime, uint64_t first, uint64_t size)
{
    if (size == 1) {
        return first;
    }
    const uint64_t part = size / work::kSkynetChildren;
    std::array<uint64_t, work::kSkynetChildren> sums{};
    for (uint64_t child = 0; child < work::kSkynetChildren; child++) {
        runtime.silent_async([&sums, child, first, part](tf::Runtime &own) {
            sums[child] = skynet_node(own, first + child * part, part);
        });
    }
    runtime.corun_all();
    return work::sum_of(sums);
}

Outcome skynet(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    uint64_t result = 0;
    Outcome outcome = sampler.time(work::kSkynetSpawns, [&] {
        on_worker(executor,
                  [&](tf::Runtime &runtime) { result = skynet_node(runtime, 0, work::kMillion); });
    });
    outcome.checksum = result;
    return outcome;
}

template <class Partitioner> Outcome parallel_for(const Sampler &sampler, Partitioner partitioner)
{
    tf::Executor executor(work::kWorkers);
    work::Bytes bytes;
    uint8_t round = 0;
    tf::Taskflow flow;
    const auto body = [slots = bytes.slots.data(), &round](size_t i) { slots[i] = round; };
    flow.for_each_index(size_t{0}, work::kMillion, size_t{1}, body, partitioner);
    Outcome outcome = sampler.time(work::kMillion, [&] {
        round++;
        executor.run(flow).wait();
    });
    outcome.checksum = bytes.count(round);
    return outcome;
}

// The small graph: one, two side by side, one.
Outcome launch(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    std::array<work::Counter, work::kLaunchNodes> counters;
    tf::Taskflow flow;
    std::vector<tf::Task> tasks;
    for (work::Counter &counter : counters) {
        tasks.push_back(flow.emplace([&counter] { counter.add(); }));
    }
    tasks[0].precede(tasks[1], tasks[2]);
    tasks[3].succeed(tasks[1], tasks[2]);
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(1, [&] {
        rounds++;
        executor.run(flow).wait();
    });
    outcome.checksum = work::count_runs(counters, rounds);
    return outcome;
}

uint64_t queens(tf::Runtime &runtime, const work::Board &board)
{
    if (board.is_full()) {
        return 1;
    }
    std::array<uint64_t, work::kQueens> sums{};
    size_t count = 0;
    board.each_child([&](const work::Board &child) {
        uint64_t &sum = sums[count++];
        runtime.silent_async([&sum, child](tf::Runtime &own) { sum = queens(own, child); });
    });
    runtime.corun_all();
    return work::sum_of(sums);
}

Outcome nqueens(const Sampler &sampler)
{
    tf::Executor executor(work::kWorkers);
    uint64_t result = 0;
    Outcome outcome = sampler.time(work::kQueensSpawns, [&] {
        on_worker(executor, [&](tf::Runtime &runtime) { result = queens(runtime, work::Board{}); });
    });
    outcome.checksum = result;
    return outcome;
}

} // namespace

int main(int argc, char **argv)
{
    const std::map<std::string, bench::Workload> workloads = {
        {"empty", empty},
        {"dag", dag},
        {"fib", fib},
        {"skynet", skynet},
        {"parallel_for_1",
         [](const Sampler &sampler) { return parallel_for(sampler, tf::DynamicPartitioner<>(1)); }},
        {"parallel_for_auto",
         [](const Sampler &sampler) { return parallel_for(sampler, tf::GuidedPartitioner<>()); }},
        {"launch", launch},
        {"nqueens", nqueens},
    };
    return bench::run_main("Taskflow", workloads, argc, argv);
}
