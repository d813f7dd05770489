#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/command.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// What `cmake --install` puts below an empty directory.
class AnInstallation : public testing::Test {
 protected:
  AnInstallation() {
    const auto outcome = run(
        {.argv = {"cmake", "--install", DEVID_BUILD_DIR}, .environment = {"DESTDIR=" + directory_.path().string()}});
    EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.errors;
  }

  [[nodiscard]] fs::path at(std::string_view path) const { return prefix_.string() + "/" + std::string(path); }
  [[nodiscard]] const fs::path& root() const { return directory_.path(); }

  /// Files, and directories with nothing in them, relative to the prefix.
  [[nodiscard]] std::vector<std::string> content() const {
    std::vector<std::string> paths;
    for (const auto& entry : fs::recursive_directory_iterator(prefix_))
      if (!entry.is_directory() || fs::is_empty(entry.path()))
        paths.push_back(fs::relative(entry.path(), prefix_).generic_string());
    return paths;
  }

  [[nodiscard]] static std::string read(const fs::path& file) {
    const std::ifstream in(file);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  /// The program that the line "KEY=PROGRAM …" of a file starts, where it was installed to.
  [[nodiscard]] fs::path program(std::string_view file, const std::string& key) const {
    std::istringstream text(read(at(file)));
    std::string line;
    while (std::getline(text, line))
      if (line.starts_with(key + "=/")) return root() / line.substr(key.size() + 2, line.find(' ') - key.size() - 2);
    ADD_FAILURE() << file << " has no " << key;
    return {};
  }

 private:
  TemporaryDirectory directory_;
  fs::path prefix_ = directory_.path() / fs::path(DEVID_INSTALL_PREFIX).relative_path();
};

TEST_F(AnInstallation, PutsEveryFileWhereADistributionExpectsIt) {
  EXPECT_THAT(content(),
              UnorderedElementsAre(
                  "bin/devidctl", "libexec/devid/devidd", "libexec/devid/devid-pkcs11-probe",       //
                  "lib/systemd/system/devidd.service", "lib/systemd/system/devid-run-due.service",  //
                  "lib/systemd/system/devid-run-due.timer", "lib/systemd/system/devid-wait@.service",
                  "lib/systemd/system/devid-enrolled@.target", "share/doc/devid/examples/50-devid.rules",  //
                  "lib/sysusers.d/devid.conf", "lib/tmpfiles.d/devid.conf",
                  "share/dbus-1/system-services/org.devid1.service", "share/dbus-1/system.d/org.devid1.conf",  //
                  "share/dbus-1/interfaces/org.devid1.Manager.xml", "share/dbus-1/interfaces/org.devid1.Identity.xml",
                  "share/dbus-1/interfaces/org.devid1.Job.xml",                                    //
                  "share/doc/devid/examples/devid.toml", "share/doc/devid/examples/gateway.toml",  //
                  "share/doc/devid/examples/plant.toml",                                           //
                  "share/man/man1/devidctl.1", "share/man/man5/devid.toml.5", "share/man/man8/devidd.8"));
  EXPECT_TRUE(fs::is_directory(root() / "etc/devid/identities.d")) << "devidd looks there, whatever the prefix is";
}

TEST_F(AnInstallation, NamesProgramsThatAreThere) {
  for (const auto& [file, key] : {std::pair{"lib/systemd/system/devidd.service", "ExecStart"},
                                  std::pair{"lib/systemd/system/devid-run-due.service", "ExecStart"},
                                  std::pair{"lib/systemd/system/devid-wait@.service", "ExecStart"},
                                  std::pair{"share/dbus-1/system-services/org.devid1.service", "Exec"}})
    EXPECT_TRUE(fs::is_regular_file(program(file, key))) << program(file, key);
}

TEST_F(AnInstallation, HasUnitsThatSystemdAccepts) {
  // The system around them, as far as they refer to it.
  fs::create_directories(root() / "lib/systemd/system");
  for (const auto* target : {"sysinit", "basic", "shutdown", "timers", "network-online", "time-set", "time-sync"})
    std::ofstream(root() / "lib/systemd/system" / (std::string(target) + ".target"))
        << "[Unit]\nDescription=A target\n";
  std::ofstream(root() / "lib/systemd/system/dbus.socket") << "[Socket]\nListenStream=/run/dbus/system_bus_socket\n";
  std::ofstream(root() / "lib/systemd/system/dbus.service") << "[Service]\nExecStart=/usr/bin/true\n";
  fs::create_directories(root() / "usr/bin");
  fs::copy_file("/bin/true", root() / "usr/bin/true");
  const auto outcome =
      run({.argv = {"systemd-analyze", "verify", "--man=no", "--root=" + root().string(),
                    at("lib/systemd/system/devidd.service"), at("lib/systemd/system/devid-run-due.service"),
                    at("lib/systemd/system/devid-run-due.timer"), at("lib/systemd/system/devid-wait@.service"),
                    at("lib/systemd/system/devid-enrolled@.target")}});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output + outcome.errors, "");
}

TEST_F(AnInstallation, KeepsItsServicesInASandbox) {
  for (const auto* unit : {"devidd.service", "devid-run-due.service", "devid-wait@.service"}) {
    const auto outcome = run({.argv = {"systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20",
                                       at(std::string("lib/systemd/system/") + unit)}});
    EXPECT_EQ(outcome.status, 0) << outcome.output << outcome.errors;
  }
}

TEST_F(AnInstallation, ActivatesTheUnitThatOwnsTheName) {
  EXPECT_THAT(read(at("share/dbus-1/system-services/org.devid1.service")),
              HasSubstr("\nSystemdService=devidd.service\n"));
  EXPECT_THAT(read(at("lib/systemd/system/devidd.service")), HasSubstr("\nBusName=org.devid1\n"));
}

}  // namespace
}  // namespace devid::test
