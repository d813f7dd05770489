#pragma once

#include <string>
#include <vector>

namespace devid::ctl {

/// Prints a table to standard output, its columns fitted to the terminal.
void print_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

}  // namespace devid::ctl
