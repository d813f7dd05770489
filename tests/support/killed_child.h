#pragma once

#include <functional>

namespace devid::test {

/// How a child that was to be killed ended.
enum class ChildEnd { killed, finished, failed };

/// Forks, lets the child carry out `action`, and kills it (SIGKILL) just before its system call number `nth`, counted
/// from 1: with every `nth` in turn, every state that a sudden death can leave behind is met. `finished`: the action
/// was done before that; `failed`: it returned false. The caller has one thread. Throws if the child cannot be traced.
ChildEnd run_until_system_call(unsigned nth, const std::function<bool()>& action);

/// Forks, lets the child carry out `action`, and calls `look` just before each of its system calls that changes a file
/// or a directory, while the child stands still: what is on disk then is what its death at that point would leave.
/// Returns how many there were. Throws if the child cannot be traced, or the action returns false.
unsigned look_before_each_change(const std::function<bool()>& action, const std::function<void()>& look);

}  // namespace devid::test
