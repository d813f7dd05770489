#pragma once

#include <functional>

namespace devid::test {

/// How a child that was to be killed ended.
enum class ChildEnd { killed, finished, failed };

/// Forks, lets the child carry out `action`, and kills it (SIGKILL) just before its system call number `nth`, counted
/// from 1: with every `nth` in turn, every state that a sudden death can leave behind is met. `finished`: the action
/// was done before that; `failed`: it returned false. The caller has one thread. Throws if the child cannot be traced.
ChildEnd run_until_system_call(unsigned nth, const std::function<bool()>& action);

}  // namespace devid::test
