#include "cli/commands.hpp"

int main(int argc, char** argv) { return pillion::cli::run(argc, argv); }
