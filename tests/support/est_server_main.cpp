/// devid-test-est-server: the EST server for tests as a program, for the demo and for tests of whole processes. Prints
/// a line for each request; ends on SIGTERM or SIGINT.

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigwait is POSIX
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/est_server.h"

namespace {

using devid::test::EstServer;

/// "OPERATION=NAME" or "OPERATION=NAME:TIMES".
void plan(EstServer& server, const std::string& text) {
  const auto equals = text.find('=');
  const auto colon = text.find(':');
  const auto operation = devid::test::operation_from_name(text.substr(0, equals));
  if (equals == std::string::npos || !operation)
    throw std::invalid_argument("'" + text + "' is not OPERATION=NAME[:TIMES]");
  const std::string name = text.substr(equals + 1, colon == std::string::npos ? std::string::npos : colon - equals - 1);
  const unsigned times =
      colon == std::string::npos ? EstServer::always : static_cast<unsigned>(std::stoul(text.substr(colon + 1)));
  server.misbehave(*operation, devid::test::misbehaviour(name), times);
}

void write_port(const std::filesystem::path& file, std::uint16_t port) {
  const std::filesystem::path temporary = file.string() + ".new";
  std::ofstream(temporary) << port << '\n';
  std::filesystem::rename(temporary, file);
}

void print(const devid::test::SeenRequest& request) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  std::printf("%s %s %u (connection %zu, %s, client: %s)\n", request.method.c_str(),
              devid::printable(request.target).c_str(), request.status, request.connection, request.tls_version.c_str(),
              request.client.empty() ? "none" : request.client.c_str());
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  devid::test::EstServerSpec spec;
  std::filesystem::path port_file;
  std::vector<std::string> plans;
  bool die_with_parent = false;
  bool demand = false;
  long validity = 86400;
  long backdate = 60;

  CLI::App app("An EST server on 127.0.0.1 for tests and demonstrations. Files are PEM.");
  app.add_option("--server-cert", spec.certificate, "its certificate, followed by the intermediates")->required();
  app.add_option("--server-key", spec.key)->required();
  app.add_option("--manufacturer-ca", spec.manufacturer_ca, "whose certificates may enroll")->required();
  app.add_option("--issuer-cert", spec.issuer.certificate, "the CA that issues")->required();
  app.add_option("--issuer-key", spec.issuer.key)->required();
  app.add_option("--issuer-chain", spec.issuer_chain, "more certificates for /cacerts");
  app.add_option("--port", spec.port, "0, the default: any");
  app.add_option("--port-file", port_file, "where to write the port, once it listens");
  app.add_option("--label", spec.label, "the only label under which there is EST");
  app.add_option("--validity", validity, "of what it issues, in seconds from now");
  app.add_option("--backdate", backdate, "how many seconds ago it begins");
  app.add_flag("--demand-certificate", demand, "no handshake without a client certificate");
  app.add_option("--misbehave", plans, "OPERATION=NAME[:TIMES], as in est_misbehaviour.cpp");
  app.add_flag("--die-with-parent", die_with_parent, "end when the process that started it ends");
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const pid_t parent = ::getppid();
  if (die_with_parent) ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (die_with_parent && ::getppid() != parent) return 0;

  spec.issuer.not_after = devid::Seconds(validity);
  spec.issuer.not_before = -devid::Seconds(backdate);
  if (demand) spec.client_auth = devid::test::ClientAuth::demand;
  spec.on_request = print;
  EstServer server(std::move(spec));
  for (const auto& text : plans) plan(server, text);
  if (!port_file.empty()) write_port(port_file, server.port());
  std::printf("listening on %s\n", server.url().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    static_cast<void>(std::fprintf(stderr, "error: %s\n", error.what()));
    return 1;
  }
}
