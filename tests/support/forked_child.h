#pragma once

#include <functional>
#include <string>

namespace devid::test {

/// Forks, lets the child carry out `action`, and returns what that returned. What the action does to its process ends
/// with the child. The caller has one thread. Throws std::runtime_error if the action throws, or the child dies.
std::string in_a_child(const std::function<std::string()>& action);

/// The same as somebody whom the modes of files bind: root becomes nobody (user and group 65534) before it.
std::string in_a_child_without_privileges(const std::function<std::string()>& action);

}  // namespace devid::test
