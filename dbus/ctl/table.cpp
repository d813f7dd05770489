#include "dbus/ctl/table.h"

#include <libsmartcols.h>

#include <cstdlib>
#include <new>

#include "base/owned.h"

namespace devid::ctl {

void print_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  const Owned<libscols_table, scols_unref_table> table(scols_new_table());
  if (table == nullptr) throw std::bad_alloc();
  for (const auto& heading : headings) scols_table_new_column(table.get(), heading.c_str(), 0, SCOLS_FL_WRAP);
  for (const auto& row : rows) {
    libscols_line* line = scols_table_new_line(table.get(), nullptr);
    if (line == nullptr) throw std::bad_alloc();
    for (std::size_t column = 0; column < row.size(); ++column) scols_line_set_data(line, column, row[column].c_str());
  }
  scols_print_table(table.get());
}

}  // namespace devid::ctl
